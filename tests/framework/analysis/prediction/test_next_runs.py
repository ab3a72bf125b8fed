from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("threadpoolctl")

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import make

from framework.analysis.prediction.features import FeatureEncoder, Features
from framework.analysis.prediction.gaussian_process import GaussianProcess, distances, unit_scaled
from framework.analysis.prediction.next_runs import choose_next, medoids


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


def test_before_anything_is_known_medoids_are_run() -> None:
    features, _ = scaled(120)
    nothing = features.rows(np.zeros(0, dtype=np.int64))

    chosen = choose_next(nothing, np.zeros(0), features, 10)

    assert chosen.expected_error is None
    assert chosen.rows.tolist() == medoids(features, 10).tolist()


def test_knowledge_per_cost_prefers_short_runs() -> None:
    features, log_time = scaled(200)
    known, fresh = np.arange(60), np.arange(60, 200)

    plain = choose_next(features.rows(known), log_time[known], features.rows(fresh), 15)
    thrifty = choose_next(features.rows(known), log_time[known], features.rows(fresh), 15, per_cost=True)

    assert np.exp(log_time[fresh][thrifty.rows]).sum() < np.exp(log_time[fresh][plain.rows]).sum()
