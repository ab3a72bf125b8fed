from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from framework.errors import ConfigError, InputError, StoreError
from framework.run.runner import execute, execute_job
from framework.run_record import RunOutcome, RunRecord
from framework.store.bundles.bundle import read_bundle

Make = Callable[..., DictConfig]


def _bundles(config: DictConfig) -> list[Path]:
    return sorted((Path(str(config.outputs_dir)) / "runs").glob("*"))


def _record(config: DictConfig, outcome: RunOutcome) -> RunRecord:
    return read_bundle(Path(str(config.outputs_dir)) / "runs" / outcome.run_id).record


def test_a_finished_run_is_a_bundle_with_its_metrics_tables_and_facts(toy_config: Make) -> None:
    config = toy_config(metrics__power={"_target_": "toy_study.components.ToyCollector"})
    outcome = execute(config)
    assert outcome.status == "done"
    assert outcome.metrics == {"numbers_s": 2.0, "duration_s": 2.0, "toy_power_w": 300.0, "sum": 12006.0}
    (folder,) = _bundles(config)
    bundle = read_bundle(folder)
    assert {"metrics", "params", "sums", "samples"} <= set(bundle.tables)
    record = bundle.record
    assert (record.status, record.sanity, record.experiment, record.backend) == ("done", "pass", "toy", "toy")
    assert record.seed == 3
    assert record.facts["engine"] == "toy 1"
    assert record.facts["workload"] == {"sum": 12006}
    assert record.provenance["host"]["cpu_cores"] >= 1
    assert not list((Path(str(config.outputs_dir)) / "running").glob("*.json"))


def test_a_run_that_is_done_is_skipped_and_its_earlier_id_returned(toy_config: Make) -> None:
    config = toy_config()
    first, second = execute(config), execute(config)
    assert second == RunOutcome(first.run_id, "done", skipped=True)
    assert len(_bundles(config)) == 1


@pytest.mark.parametrize("changes", [{"backend__speed": 3.0}, {"workload__size": 5}, {"sweep__repeat": 1}])
def test_another_configuration_workload_or_repeat_is_another_run(
    toy_config: Make, changes: dict[str, object]
) -> None:
    execute(toy_config())
    assert not execute(toy_config(**changes)).skipped


def test_without_resume_a_done_run_is_run_again(toy_config: Make) -> None:
    execute(toy_config())
    assert not execute(toy_config(resume=False)).skipped


def test_a_repeat_has_a_seed_of_its_own(toy_config: Make) -> None:
    config = toy_config(sweep__repeat=2)
    assert _record(config, execute(config)).seed == 5


def test_a_failed_run_is_not_done(toy_config: Make) -> None:
    config = toy_config(backend__fail="run")
    execute(config)
    assert not execute(config).skipped
    assert len(_bundles(config)) == 2


@pytest.mark.parametrize(
    ("changes", "stage", "kind", "message"),
    [
        ({"workload__fail": "crash"}, "workload", "ZeroDivisionError", "a defect of the workload"),
        (
            {"workload__fail": "wrong"},
            "workload",
            "TypeError",
            "ToyWorkload built dict instead of WorkloadTables",
        ),
        ({"backend__fail": "check_crash"}, "validate", "LookupError", "a defect of the check"),
        ({"backend__fail": "run"}, "backend", "RuntimeError", "engine died"),
        (
            {"backend__fail": "nothing"},
            "backend",
            "TypeError",
            "ToyBackend returned NoneType instead of a Result",
        ),
        (
            {"backend__fail": "derive"},
            "derive",
            "KeyError",
            "plugin 'toy' failed in derived_metrics: KeyError: 'a defect of a derived metric'",
        ),
        (
            {"backend__fail": "sanity"},
            "sanity",
            "IndexError",
            "plugin 'toy' failed in sanity_checks: IndexError: a defect of a check",
        ),
        ({"backend__fail": "twice"}, "bundle", "StoreError", "metric 'duration_s' is reported twice"),
        ({"backend__fail": "table"}, "bundle", "StoreError", "column 'valeu' is not in its schema"),
    ],
)
def test_a_run_that_fails_in_any_stage_is_a_row_that_says_where_and_why(
    toy_config: Make, changes: dict[str, object], stage: str, kind: str, message: str
) -> None:
    config = toy_config(**changes)
    outcome = execute(config)
    assert outcome.status == "failed"
    assert outcome.failure is not None
    record = _record(config, outcome)
    assert record.status == "failed"
    assert record.failure == outcome.failure
    assert (record.failure.stage, record.failure.kind) == (stage, kind)
    assert message in record.failure.message
    assert "\n" not in record.failure.message
    assert record.finished_at is not None
    assert record.config["workload"]["seed"] == 3
    assert not list((Path(str(config.outputs_dir)) / "running").glob("*.json"))


@pytest.mark.parametrize("fail", ["derive", "sanity"])
def test_a_hook_that_fails_after_the_run_costs_none_of_its_tables_and_files(
    toy_config: Make, fail: str
) -> None:
    config = toy_config(backend__fail=fail, backend__profile="of the engine")
    outcome = execute(config)
    bundle = read_bundle(Path(str(config.outputs_dir)) / "runs" / outcome.run_id)
    assert bundle.tables["sums"]["value"].to_pylist() == [sum(3000 + i for i in range(4))]
    assert bundle.record.facts["engine"] == "toy 1"
    assert not bundle.record.metrics
    kept = Path(str(config.outputs_dir)) / "runs" / outcome.run_id / "artifacts"
    assert [file.read_text() for file in kept.rglob("profile*") if file.is_file()] == ["of the engine"]


def test_a_failed_run_keeps_the_end_of_its_logs_and_of_the_traceback(toy_config: Make) -> None:
    config = toy_config(backend__fail="run")
    failure = _record(config, execute(config)).failure
    assert failure is not None
    assert failure.log_tail.startswith("== engine.log\nwarming up\nengine ran out of numbers\n")
    assert "RuntimeError: engine died" in failure.log_tail


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"backend__speed": -1}, ConfigError),
        ({"backend__fail": "check"}, ConfigError),
        ({"workload__seed": "x"}, ConfigError),
        ({"workload__fail": "input"}, InputError),
        ({"workload": {"_target_": "toy_study.components.ToyBackend"}}, ConfigError),
        ({"backend": {"_target_": "toy_study.components.ToyWorkload"}}, ConfigError),
        ({"metrics__a": {"_target_": "toy_study.components.ToyWorkload"}}, ConfigError),
    ],
    ids=["value", "combination", "seed", "input", "no workload", "no backend", "no collector"],
)
def test_what_the_user_can_mend_is_raised_before_anything_is_written(
    toy_config: Make, changes: dict[str, object], error: type[Exception]
) -> None:
    config = toy_config(**changes)
    with pytest.raises(error) as caught:
        execute(config)
    assert "\n" not in str(caught.value)
    assert not Path(str(config.outputs_dir)).exists()


def test_in_a_sweep_even_that_is_a_row(toy_config: Make) -> None:
    config = toy_config(workload__fail="input", sweep__id="s-1", sweep__index=4, sweep__job_key="k")
    outcome = execute_job(config)
    record = _record(config, outcome)
    assert (record.status, record.sweep_id, record.sweep_index, record.job_key) == ("failed", "s-1", 4, "k")
    assert record.failure is not None
    assert (record.failure.stage, record.failure.kind) == ("validate", "InputError")


def test_an_outputs_folder_that_cannot_be_written_ends_the_sweep(toy_config: Make, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file, not a folder")
    with pytest.raises(StoreError) as caught:
        execute_job(toy_config())
    assert str(tmp_path / "outputs") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_whose_marker_cannot_be_written_is_a_row_that_says_why(toy_config: Make) -> None:
    config = toy_config()
    outputs = Path(str(config.outputs_dir))
    outputs.mkdir()
    (outputs / "running").write_text("in the way of the folder of the markers")
    outcome = execute(config)
    record = _record(config, outcome)
    assert (outcome.status, record.status) == ("failed", "failed")
    assert record.failure is not None
    assert (record.failure.stage, record.failure.kind) == ("bundle", "StoreError")
    assert "running" in record.failure.message


def test_a_metric_that_is_not_a_number_fails_sanity_but_not_the_run(toy_config: Make) -> None:
    config = toy_config(backend__fail="nan")
    outcome = execute(config)
    record = _record(config, outcome)
    assert (record.status, record.sanity) == ("done", "fail")
    assert [(check.name, check.detail) for check in record.checks] == [("finite_metrics", "error_pct is nan")]


def test_the_worst_finding_is_the_verdict(toy_config: Make) -> None:
    config = toy_config(backend__fail="warn")
    assert _record(config, execute(config)).sanity == "warn"


def test_progress_reaches_the_caller(toy_config: Make) -> None:
    seen: list[tuple[float, str]] = []
    execute(toy_config(), lambda fraction, text: seen.append((fraction, text)))
    assert (0.5, "adding") in seen


def test_the_scratch_folder_is_removed(
    toy_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    execute(toy_config(backend__fail="run"))
    assert list(scratch.iterdir()) == []
