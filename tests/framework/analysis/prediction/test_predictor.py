from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lightgbm")

from framework.analysis.prediction.conformal import ResidualIntervals
from framework.analysis.prediction.features import Column, group_codes
from framework.analysis.prediction.holding_out import SCARCE, balanced_rows, row_parts, unit_parts
from framework.analysis.prediction.novelty import Group, contradictions
from framework.analysis.prediction.predictor import KNOWN, NEW_CONFIGURATION, RunPredictor
from framework.analysis.prediction.validation_schemes import rows_of, validate
from tests.framework.analysis.prediction.synthetic import make

CLUSTER = Group("cluster", ("cluster",), ("cluster",))
BENCHMARK = Group("benchmark", ("benchmark",), ("benchmark",))
PLAN = RunPredictor(
    groups=(CLUSTER, BENCHMARK), configuration=("benchmark", "codec", "cluster", "maps"), balance="cluster"
)


def picked(columns: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, Column]:
    return rows_of(columns, np.flatnonzero(mask))


def test_intervals_of_known_rows_cover_what_they_promise() -> None:
    train, test = make(3000, seed=1), make(3000, seed=2)

    prediction = PLAN.fit(train.columns, train.time_s).predict(test.columns)

    inside = (prediction.low <= test.time_s) & (test.time_s <= prediction.high)
    assert 0.86 <= inside.mean() <= 0.95
    assert set(prediction.basis) <= {KNOWN, NEW_CONFIGURATION}


@pytest.mark.slow
def test_a_new_cluster_is_predicted_from_its_hardware_with_a_wider_interval() -> None:
    truth = make(3000)
    new = truth.columns["cluster"] == "c4"  # like c2, and a little slower
    fitted = PLAN.fit(picked(truth.columns, ~new), truth.time_s[~new])

    of_new = fitted.predict(picked(truth.columns, new))
    of_known = fitted.predict(picked(truth.columns, ~new))

    assert set(of_new.basis) == {"cluster"}
    assert np.median(np.abs(of_new.predicted / truth.expected_s[new] - 1)) < 0.25
    assert np.median(of_new.high / of_new.low) > np.median(of_known.high / of_known.low)


def test_a_row_new_in_benchmark_and_cluster_is_predicted_without_either_name() -> None:
    truth = make(600)
    asked = {name: values[:1].copy() for name, values in truth.columns.items()}
    asked["benchmark"], asked["cluster"] = np.array(["bayes"], dtype=object), np.array(["c9"], dtype=object)

    prediction = PLAN.fit(truth.columns, truth.time_s).predict(asked)

    assert prediction.basis == ("benchmark",)
    assert prediction.low[0] <= prediction.predicted[0] <= prediction.high[0]


def test_only_what_was_observed_is_known() -> None:
    truth = make(400)
    asked = {name: values[:2].copy() for name, values in truth.columns.items()}
    asked["maps"][1] = 7.5  # between the observed ones

    prediction = PLAN.fit(truth.columns, truth.time_s).predict(asked)

    assert prediction.basis == (KNOWN, NEW_CONFIGURATION)


def test_a_row_that_contradicts_what_its_cluster_is_is_a_new_cluster_with_that_band() -> None:
    truth = make(600)
    hardware = next(name for name in truth.columns if name not in PLAN.configuration)
    group = Group("cluster", ("cluster",), ("cluster",), (hardware, "codec"))
    plan = replace(PLAN, groups=(group,))
    asked = {name: values[[0, 0, 0]].copy() for name, values in truth.columns.items()}
    asked[hardware][1] = truth.columns[hardware].max() + 5  # more than the cluster has
    asked["codec"][2] = None  # says nothing, so it contradicts nothing

    prediction = plan.fit(truth.columns, truth.time_s).predict(asked)

    assert prediction.basis[0] != "cluster"
    assert prediction.basis[2] != "cluster"
    assert prediction.basis[1] == "cluster"
    width = prediction.high / prediction.low
    assert width[1] > 1.2 * width[0]
    assert str(truth.columns["cluster"][0]) in str(prediction.contradicted[1])
    assert prediction.contradicted[0] is None


def test_a_number_that_varies_within_units_is_a_setting_and_contradicts_nothing() -> None:
    train = {
        "cluster": np.array(["a", "a", "b"], dtype=object),
        "nodes": np.array([3.0, 3.0, 8.0]),
        "limit_w": np.array([200.0, 300.0, 300.0]),
        "disk": np.array(["hdd", "ssd", "hdd"], dtype=object),
    }
    group = Group("cluster", ("cluster",), ("cluster",), ("nodes", "limit_w", "disk"))
    asked = {name: values[[0, 0, 2]].copy() for name, values in train.items()}
    asked["limit_w"][0] = 250.0
    asked["nodes"][1] = 20.0
    asked["disk"][2] = "ssd"

    found = contradictions(train, asked, group)

    assert found[0] is None
    assert found[1] is not None
    assert "nodes=20 (only 3)" in found[1]
    assert found[2] is not None
    assert "disk=ssd (only hdd)" in found[2]


def test_predictions_lie_in_their_intervals_whatever_is_missing() -> None:
    truth = make(500)
    asked = {name: values[:50].copy() for name, values in make(50, seed=3).columns.items()}
    asked["maps"][:] = np.nan
    asked["codec"][:] = None

    prediction = PLAN.fit(truth.columns, truth.time_s).predict(asked)

    assert np.isfinite(prediction.predicted).all()
    assert (prediction.low <= prediction.predicted).all()
    assert (prediction.predicted <= prediction.high).all()


def test_predicting_does_not_depend_on_the_other_rows_asked_for() -> None:
    train, test = make(400), make(40, seed=5)
    fitted = PLAN.fit(train.columns, train.time_s)

    together = fitted.predict(test.columns).predicted
    alone = [fitted.predict(rows_of(test.columns, np.array([row]))).predicted[0] for row in range(5)]

    assert together[:5].tolist() == alone


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_target_without_a_logarithm_is_refused(bad: float) -> None:
    truth = make(20)
    target = truth.time_s.copy()
    target[3] = bad

    with pytest.raises(ValueError, match="positive"):
        PLAN.fit(truth.columns, target)


def test_two_runs_are_enough_to_learn_from_and_one_is_not() -> None:
    truth = make(3)
    two = rows_of(truth.columns, np.arange(2))

    assert np.isfinite(PLAN.fit(two, truth.time_s[:2]).predict(truth.columns).predicted).all()
    with pytest.raises(ValueError, match="at least 2"):
        PLAN.fit(rows_of(truth.columns, np.arange(1)), truth.time_s[:1])


@pytest.mark.slow
def test_validation_lists_every_kind_of_newness_side_by_side() -> None:
    truth = make(900)

    errors = validate(PLAN, truth.columns, truth.time_s)

    names = ["random rows", "configuration held out", "cluster held out", "benchmark held out"]
    assert [error.scheme for error in errors] == names
    random, _, cluster, benchmark = errors
    assert random.mape is not None
    assert benchmark.mape is not None
    assert random.mape < 0.1 < benchmark.mape  # a benchmark never seen can't be known from its name
    assert cluster.units == 6


def test_a_scheme_without_units_says_why_it_has_no_figures() -> None:
    truth = make(60)
    columns = {name: values for name, values in truth.columns.items() if name != "cluster"}

    errors = {error.scheme: error for error in validate(PLAN, columns, truth.time_s)}

    assert errors["cluster held out"].mape is None
    assert errors["cluster held out"].reason == "needs 2 units with 10 rows"


def test_rows_held_out_are_never_learned_from() -> None:
    truth = make(2500)
    unit = group_codes(truth.columns, ["cluster"])
    configuration = group_codes(truth.columns, list(PLAN.configuration))

    for part in (*row_parts(configuration, unit, 0), *unit_parts(unit, 0)):
        assert not set(part.learned) & set(part.out)
    for part in unit_parts(unit, 0):
        assert not set(unit[part.learned]) & set(unit[part.out])


def test_units_are_made_scarce_only_when_some_are() -> None:
    unit = np.repeat([0, 1, 2], [1500, 1500, 40])
    configuration = np.arange(len(unit))

    with_scarce = row_parts(configuration, unit, 0)
    without = row_parts(configuration[:3000], unit[:3000], 0)

    assert any(np.count_nonzero(part.kind == SCARCE) > 100 for part in with_scarce)
    assert not any(np.any(part.kind == SCARCE) for part in without)


def test_small_units_count_as_the_root_of_their_rows() -> None:
    unit = np.repeat([0, 1], [975, 25])  # 500 on average: 25 rows count as sqrt(25 · 500) ≈ 4.5 times 25

    rows = balanced_rows(unit)

    assert np.count_nonzero(unit[rows] == 0) == 975
    assert np.count_nonzero(unit[rows] == 1) == 4 * 25


def test_conformal_quantile_of_equal_weights_is_the_finite_sample_one() -> None:
    residual = np.linspace(-1.0, 1.0, 99)
    kind = np.zeros(99, dtype=np.int64)

    intervals = ResidualIntervals.fit(residual[:, None], residual, kind, 0.9)
    low, high = intervals.offsets(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))

    assert np.mean((low <= residual) & (residual <= high)) >= 0.9
    assert high[0] - low[0] < 2.0
