from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from framework.analysis.prediction.features import FeatureEncoder, Features
from framework.analysis.prediction.gaussian_process import GaussianProcess, distances, unit_scaled
from framework.analysis.prediction.next_runs import choose_next, local_scale
from tests.framework.analysis.prediction.synthetic import make


def scaled(rows: int, seed: int = 0) -> tuple[Features, np.ndarray]:
    truth = make(rows, seed)
    features = FeatureEncoder.fit(truth.columns).encode(truth.columns)
    return unit_scaled(features), np.log(truth.time_s)


def test_distance_is_a_difference_for_numbers_and_zero_or_one_for_names() -> None:
    columns = {"maps": np.array([1.0, 2.0, 4.0]), "net": np.array(["ETH", "IB", None], dtype=object)}
    features = unit_scaled(FeatureEncoder.fit(columns).encode(columns))

    apart = distances(features, features)

    assert apart[0].tolist() == [[0.0, 0.5, 1.0], [0.5, 0.0, 0.5], [1.0, 0.5, 0.0]]  # on a log scale
    assert apart[1, 0].tolist() == [0.0, 1.0, 1.0]
    assert apart[1, 2, 2] == 1.0  # missing is not known to equal missing


def test_process_predicts_what_it_measured_and_is_less_sure_of_what_it_did_not() -> None:
    features, log_time = scaled(80)
    process = GaussianProcess.fit(features.rows(np.arange(60)), log_time[:60])

    mean, variance = process.predict(features)

    assert np.abs(mean[:60] - log_time[:60]).mean() < 0.05
    assert variance[:60].mean() < variance[60:].mean() < process.prior_variance


def test_a_disturbed_run_does_not_bend_the_surface() -> None:
    features, log_time = scaled(150)
    train, test = np.arange(100), np.arange(100, 150)
    disturbed = log_time.copy()
    disturbed[[5, 50]] += np.log(8)

    clean = GaussianProcess.fit(features.rows(train), log_time[train]).predict(features.rows(test))[0]
    bent = GaussianProcess.fit(features.rows(train), disturbed[train]).predict(features.rows(test))[0]

    assert np.abs(bent - clean).mean() < 0.1


def test_a_batch_leaves_less_unknown_and_asks_nothing_twice() -> None:
    features, log_time = scaled(200)
    known = np.arange(40)

    chosen = choose_next(features.rows(known), log_time[known], features.rows(np.arange(40, 200)), 12)

    assert len(set(chosen.rows.tolist())) == 12
    assert chosen.expected_error is not None
    assert chosen.expected_error[1] < chosen.expected_error[0]


def test_before_anything_is_known_the_first_runs_spread_over_the_levels() -> None:
    features, _ = scaled(300)
    nothing = features.rows(np.zeros(0, dtype=np.int64))

    chosen = choose_next(nothing, np.zeros(0), features, 12)

    assert chosen.expected_error is None
    assert len(set(chosen.rows.tolist())) == 12
    for position, levels in enumerate(features.levels):
        if levels is not None and len(levels) <= 6:
            assert set(features.values[chosen.rows, position]) == set(features.values[:, position])


@pytest.mark.parametrize("seed", range(4))
def test_where_runs_surprised_more_is_taken_to_be_known_less(seed: int) -> None:
    generator = np.random.default_rng(seed)
    calm = generator.random(600) < 0.5
    columns = {
        "benchmark": np.where(calm, "calm", "wild").astype(object),
        "a": generator.integers(0, 6, 600).astype(float),
        "b": generator.integers(0, 6, 600).astype(float),
    }
    features = unit_scaled(FeatureEncoder.fit(columns).encode(columns))
    wild = np.sin(2.0 * columns["a"]) * np.cos(1.5 * columns["b"])
    log_time = 5.0 + np.where(calm, 0.0, wild) + 0.01 * generator.standard_normal(600)
    known, asked = np.arange(60), np.arange(60, 600)

    scale = local_scale(GaussianProcess.fit(features.rows(known), log_time[known]), features.rows(asked))

    assert scale[calm[asked]].mean() < scale[~calm[asked]].mean()


def test_left_out_scores_are_those_of_processes_that_never_saw_the_run() -> None:
    features, log_time = scaled(30)
    process = GaussianProcess.fit(features, log_time)
    own_noise = (process.chol @ process.chol.T - process.covariance(features, features)).diagonal()

    for row in (0, 7, 29):
        others = np.delete(np.arange(30), row)
        covariance = process.covariance(features.rows(others), features.rows(others))
        inverse = np.linalg.inv(covariance + np.diag(own_noise[others]))
        across = process.covariance(features.rows(np.array([row])), features.rows(others))[0]
        mean = across @ inverse @ (log_time[others] - process.mean) + process.mean
        variance = process.prior_variance - across @ inverse @ across + own_noise[row]
        expected = (log_time[row] - mean) ** 2 / variance
        assert process.left_out_scores()[row] == pytest.approx(expected, rel=1e-4)


def test_knowledge_per_cost_prefers_short_runs() -> None:
    features, log_time = scaled(200)
    known, fresh = np.arange(60), np.arange(60, 200)

    plain = choose_next(features.rows(known), log_time[known], features.rows(fresh), 15)
    thrifty = choose_next(features.rows(known), log_time[known], features.rows(fresh), 15, per_cost=True)

    assert np.exp(log_time[fresh][thrifty.rows]).sum() < np.exp(log_time[fresh][plain.rows]).sum()
