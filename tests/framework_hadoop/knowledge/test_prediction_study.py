from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightgbm")

from framework.analysis.prediction.features import group_codes
from framework.contracts import Result, RunContext
from framework.errors import ConfigError, InputError
from framework_hadoop.executions.execution_features import execution_features, execution_predictor
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import CONFIGURATION, Executions
from framework_hadoop.knowledge.knowledge_tables import tree_of, tree_table
from framework_hadoop.knowledge.prediction_study import HELD_OUT, ExecutionFiles, ExecutionPrediction
from tests.framework_hadoop.aloja_files import execution, executions, write
from tests.support.measured_data import MEASURED_DATA, needs_shared_data


def predicted(
    tmp_path: Path, train: list[dict[str, str]], test: list[dict[str, str]], **keys: object
) -> Result:
    files = ExecutionFiles(str(write(tmp_path / "train.csv", train)), str(write(tmp_path / "test.csv", test)))
    workload = files.build(0)
    backend = ExecutionPrediction(**keys)  # type: ignore[arg-type]
    backend.check(workload)
    return backend.run(workload, RunContext("run", {}, 0, tmp_path))


def values(result: Result) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in result.metrics}


@pytest.mark.slow
def test_every_test_row_gets_a_prediction_with_an_interval_in_file_order(tmp_path: Path) -> None:
    test = executions(50, seed=1)
    result = predicted(tmp_path, executions(600), test)

    table = result.tables["predictions"].to_pydict()
    measured = np.array([float(row["Exe.Time"]) for row in test])
    assert table["row"] == list(range(50))
    assert set(table["target"]) == {"exe_time_s"}
    assert table["measured"] == measured.tolist()
    assert all(
        low <= p <= high for low, p, high in zip(table["low"], table["predicted"], table["high"], strict=True)
    )
    metrics = values(result)
    assert metrics["mape"] == pytest.approx(np.mean(np.abs(np.array(table["predicted"]) / measured - 1)))
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(np.array(table["predicted"]) - measured)))
    assert metrics["mape"] < 0.06


@pytest.mark.slow
def test_predictions_do_not_look_at_the_times_of_the_test_file(tmp_path: Path) -> None:
    train, test = executions(200), executions(30, seed=1)
    blank = [{**row, "Exe.Time": ""} for row in test]
    scrambled = [{**row, "Exe.Time": str(5 + number)} for number, row in enumerate(test)]

    found = [
        predicted(tmp_path, train, rows).tables["predictions"]["predicted"].to_pylist()
        for rows in (test, blank, scrambled)
    ]

    assert found[0] == found[1] == found[2]


def test_errors_are_absent_with_a_reason_when_no_test_row_has_a_time(tmp_path: Path) -> None:
    result = predicted(tmp_path, executions(50), [{**row, "Exe.Time": ""} for row in executions(5, seed=1)])

    of_test = [
        metric for metric in result.metrics if metric.source == "predictions" and metric.name != "regret"
    ]
    assert len(of_test) == 5
    assert {metric.value for metric in of_test} == {None}
    assert {metric.reason for metric in of_test} == {"no row of the test file has a time"}
    assert values(result)["regret"] is None
    assert values(result)["mape_held_out_rows"] is not None  # of the training rows


@pytest.mark.slow
def test_new_clusters_benchmarks_and_codes_and_odd_cells_are_predicted_with_a_warning(tmp_path: Path) -> None:
    test = [
        execution(1, **{"Cl.Name": "c-new", "Datanodes": "32"}),
        execution(2, Benchmark="nutch"),
        execution(3, Disk="NV2", Comp="None", Maps="?"),
        execution(4, Maps="plenty", Net=""),
    ]
    result = predicted(tmp_path, executions(300), test)

    table = result.tables["predictions"].to_pydict()
    assert all(np.isfinite(table["predicted"]))
    assert [method.rpartition(", ")[2] for method in table["method"]] == [
        "new cluster",
        "new benchmark",
        "new cluster",  # a disk that the cluster never had
        "new configuration",
    ]
    checks = {check.name: check for check in result.checks}
    assert checks["test_file"].verdict == "warn"
    assert "row 4: column 'Maps' holds 'plenty'" in checks["test_file"].detail
    assert checks["train_file"].verdict == "pass"


def test_training_rows_without_a_time_are_left_out_and_counted(tmp_path: Path) -> None:
    train = [*executions(50), execution(999, **{"Exe.Time": ""})]

    result = predicted(tmp_path, train, executions(3, seed=1))

    assert (
        "1 rows without a time left out"
        in {check.name: check.detail for check in result.checks}["train_file"]
    )


def test_a_training_file_without_times_is_refused(tmp_path: Path) -> None:
    train = [{**row, "Exe.Time": ""} for row in executions(5)]

    with pytest.raises(InputError, match=r"train\.csv: 0 rows with a time"):
        predicted(tmp_path, train, executions(3))


def test_bad_settings_name_their_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train"):
        ExecutionFiles(None, None).build(0)
    with pytest.raises(ConfigError, match=r"backend\.level"):
        ExecutionPrediction(level=90)
    with pytest.raises(ConfigError, match=r"backend\.learner"):
        ExecutionPrediction(learner="boostng")


@pytest.mark.parametrize("validation", ["quick", pytest.param("full", marks=pytest.mark.slow)])
def test_four_kinds_of_newness_are_told_side_by_side(tmp_path: Path, validation: str) -> None:
    result = predicted(
        tmp_path, executions(300), executions(3, seed=1), validation=validation, knowledge=False
    )

    errors = result.tables["prediction_errors"]
    assert errors["scheme"].to_pylist() == [
        "random rows",
        "configuration held out",
        "cluster held out",
        "benchmark held out",
    ]
    told = [values(result)[name] for name in HELD_OUT]
    assert told == errors["mape"].to_pylist()
    random, _, cluster, benchmark = told
    assert random is not None
    assert cluster is not None
    assert benchmark is not None
    assert random < min(cluster, benchmark)  # what is new in more ways is predicted worse
    assert (errors["coverage"].to_pylist()[0] is None) == (validation == "quick")


def test_regret_is_of_the_configuration_predicted_fastest_among_the_held_out(tmp_path: Path) -> None:
    # zlib is slower by law; one lucky zlib run in the test file is the best measured, and not what is recommended
    train = [
        execution(n, **{"Comp": c, "Exe.Time": t})
        for n, (c, t) in enumerate([("0", "600"), ("1", "720")] * 30)
    ]
    test = [execution(1, **{"Exe.Time": "630"}), execution(2, **{"Comp": "1", "Exe.Time": "600"})]
    result = predicted(tmp_path, train, test)

    (row,) = result.tables["recommendations"].to_pylist()
    assert "codec=none" in row["settings"]
    assert row["regret"] == pytest.approx(630 / 600 - 1)
    assert values(result)["regret"] == pytest.approx(0.05)


@pytest.mark.slow
def test_a_run_keeps_tree_effects_and_best_configurations(tmp_path: Path) -> None:
    result = predicted(tmp_path, executions(600), executions(3, seed=1))

    tree = tree_of(result.tables["knowledge_tree"].to_pylist())
    assert tree_table(tree).equals(result.tables["knowledge_tree"])
    assert tree.executions == 600
    effects = {
        row["to_value"]: row for row in result.tables["knob_effects"].to_pylist() if row["setting"] == "codec"
    }
    assert len(effects) == 2
    best = result.tables["best_settings"].to_pylist()
    assert len(best) == 9  # three benchmarks on three clusters
    assert all(row["low"] <= row["time_s"] <= row["high"] and row["executions"] for row in best)


def test_an_unknown_validation_is_refused_with_the_nearest_word() -> None:
    with pytest.raises(ConfigError, match=r"backend.validation.*'ful'.*did you mean 'full'"):
        ExecutionPrediction(validation="ful")


@pytest.fixture(scope="module")
def dev() -> Executions:
    return read_executions(MEASURED_DATA / "aloja_executions_dev.csv.gz")


@pytest.mark.slow
@needs_shared_data("aloja_executions_dev.csv.gz")
@pytest.mark.parametrize(("held_out", "limit"), [("rows", 0.095), ("configurations", 0.10)])
def test_accuracy_and_coverage_on_the_published_executions(
    dev: Executions, held_out: str, limit: float
) -> None:
    unit = np.arange(len(dev)) if held_out == "rows" else group_codes(dev.columns, CONFIGURATION)
    test = (np.random.default_rng(0).random(int(unit.max()) + 1) < 0.25)[unit]
    train = dev.rows(np.flatnonzero(~test))

    prediction = (
        execution_predictor()
        .fit(execution_features(train), train.time_s)
        .predict(execution_features(dev.rows(np.flatnonzero(test))))
    )

    measured = dev.time_s[test]
    assert np.mean(np.abs(prediction.predicted / measured - 1)) <= limit
    assert 0.87 <= np.mean((prediction.low <= measured) & (measured <= prediction.high)) <= 0.93
