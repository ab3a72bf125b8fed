"""Metrics derived again from what a run has stored: under which conditions, and what is left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from omegaconf import DictConfig

from framework.contracts import Metric, Result, SanityCheck, WorkloadTables
from framework.hookspecs import hookimpl
from framework.identity.fingerprint import tables_hash
from framework.identity.versions import derivation_hash
from framework.plugins import plugin_manager
from framework.run.derivation import derive_again, refusal_notes
from framework.run.runner import execute
from framework.store.bundles.bundle import read_bundle, write_bundle
from framework.store.bundles.compact import compact
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.lookup import outdated_runs

Make = Callable[..., DictConfig]


class _Doubled:
    """A plugin that derives one more metric, finds one more thing, and can fail."""

    fail = False

    @hookimpl
    def derived_metrics(self, workload: WorkloadTables | None, result: Result) -> Iterator[Metric]:
        if self.fail:
            raise KeyError("a defect of the hook")
        assert workload is not None
        given = {metric.name: metric.value for metric in result.metrics}
        yield Metric("doubled_s", 2 * (given["duration_s"] or 0.0), "s")
        yield Metric("rows", float(result.tables["sums"].num_rows + workload.tables["numbers"].num_rows))

    @hookimpl
    def sanity_checks(self, result: Result) -> list[SanityCheck]:
        return [SanityCheck("doubled", "warn", f"{len(result.checks)} before")]


@pytest.fixture
def run(toy_config: Make) -> tuple[Path, str]:
    """A run of the toy study under its first definitions; then a plugin with further ones is installed."""
    config = toy_config(metrics__power={"_target_": "toy_study.components.ToyCollector"})
    outcome = execute(config)
    ingest(str(config.outputs_dir))
    plugin_manager().register(_Doubled(), name="doubled")
    return Path(str(config.outputs_dir)), outcome.run_id


def metrics(outputs: Path) -> dict[str, Any]:
    return dict(Store(outputs).rows("SELECT name, value FROM metrics")[1])


FIRST = {"numbers_s": 2.0, "duration_s": 2.0, "toy_power_w": 300.0, "sum": 12006.0}
LATER = {**FIRST, "doubled_s": 4.0, "rows": 5.0}


def test_a_run_of_an_earlier_definition_is_skipped_and_derived_again(
    run: tuple[Path, str], toy_config: Make
) -> None:
    outputs, run_id = run
    raw = {file: file.read_bytes() for file in (outputs / "runs").rglob("*.*")}
    outcome = execute(toy_config(metrics__power={"_target_": "toy_study.components.ToyCollector"}))
    assert (outcome.run_id, outcome.skipped, outcome.rederived, outcome.outdated) == (
        run_id,
        True,
        True,
        None,
    )
    assert metrics(outputs) == LATER
    assert {file: file.read_bytes() for file in (outputs / "runs").rglob("*.*")} == raw
    again = execute(toy_config(metrics__power={"_target_": "toy_study.components.ToyCollector"}))
    assert (again.skipped, again.rederived) == (True, False)


def test_what_backend_and_collector_reported_is_kept_and_marked_as_theirs(run: tuple[Path, str]) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    _, rows = Store(outputs).rows("SELECT name, derivation IS NULL FROM metrics")
    assert {name for name, reported in rows if reported} == {"numbers_s", "duration_s", "toy_power_w"}
    _, checks = Store(outputs).rows("SELECT name, verdict FROM checks")
    assert checks == [("doubled", "warn")]
    assert Store(outputs).rows("SELECT sanity, derivation_hash FROM runs")[1] == [("warn", derivation_hash())]
    derive_again(outputs, [run_id])
    assert metrics(outputs) == LATER


def test_the_database_is_rebuilt_from_bundles_and_derivations(run: tuple[Path, str]) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    (outputs / "framework.duckdb").unlink()
    report = ingest(outputs)
    assert (report.added, report.side_files, report.quarantined) == (1, 1, [])
    assert metrics(outputs) == LATER


def test_a_removed_derivation_gives_the_bundles_own_metrics_back(run: tuple[Path, str]) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    (outputs / "derivations" / f"{run_id}.json").unlink()
    ingest(outputs)
    assert metrics(outputs) == FIRST
    assert Store(outputs).rows("SELECT sanity FROM runs")[1] == [("pass",)]
    assert outdated_runs(outputs, [run_id], derivation_hash()) == [run_id]


@pytest.mark.parametrize("damage", ["torn", "of another bundle"])
def test_a_derivation_that_cannot_be_believed_is_refused_and_changes_nothing(
    run: tuple[Path, str], damage: str
) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    file = outputs / "derivations" / f"{run_id}.json"
    if damage == "torn":
        file.write_text(file.read_text()[:-20])
    else:
        record = read_bundle(outputs / "runs" / run_id).record
        shutil.rmtree(outputs / "runs" / run_id)
        write_bundle(outputs, replace(record, seed=9), {})
    for rebuild in (False, True) if damage == "torn" else (True,):
        report = ingest(outputs, rebuild=rebuild)
        assert [item.name for item in report.quarantined] == [run_id]
        assert metrics(outputs) == FIRST


def test_packed_bundles_are_derived_again(run: tuple[Path, str]) -> None:
    outputs, run_id = run
    assert compact(outputs).packed == 1
    assert derive_again(outputs, [run_id]).run_ids == [run_id]
    assert metrics(outputs) == LATER
    ingest(outputs, rebuild=True)
    assert metrics(outputs) == LATER


def test_bundles_behind_a_url_are_derived_again_into_the_folder_of_the_database(
    run: tuple[Path, str], tmp_path: Path
) -> None:
    outputs, run_id = run
    here = tmp_path / "here"
    here.mkdir()
    ingest(here, bundles=f"file://{outputs}")
    assert metrics(here) == FIRST
    assert derive_again(here, [run_id]).run_ids == [run_id]
    assert metrics(here) == LATER
    ingest(here, rebuild=True)
    assert metrics(here) == LATER
    assert not (outputs / "derivations").exists()
    assert list(derive_again(f"file://{outputs}", [run_id]).refused) == [run_id]


def test_a_bundle_that_arrives_after_its_derivation_is_taken_as_derived(
    run: tuple[Path, str], tmp_path: Path
) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    away = tmp_path / run_id
    shutil.move(outputs / "runs" / run_id, away)
    assert ingest(outputs, rebuild=True).added == 0
    shutil.move(away, outputs / "runs" / run_id)
    assert ingest(outputs).added == 1
    assert metrics(outputs) == LATER


def test_a_bundle_from_before_derivations_were_marked_is_derived_by_name_and_source(
    run: tuple[Path, str],
) -> None:
    outputs, run_id = run
    bundle = read_bundle(outputs / "runs" / run_id)
    unmarked = [replace(metric, derivation=None) for metric in bundle.record.metrics if metric.name != "sum"]
    old = [*unmarked, Metric("sum", 1.0), Metric("rows", 9.0, source="engine")]
    record = replace(
        bundle.record,
        derivation_hash="",
        metrics=old,
        checks=[SanityCheck("doubled", "pass"), SanityCheck("own", "pass")],
    )
    shutil.rmtree(outputs / "runs" / run_id)
    write_bundle(outputs, record, {"sums": bundle.tables["sums"]})
    ingest(outputs, rebuild=True)
    assert derive_again(outputs, [run_id]).run_ids == [run_id]
    assert metrics(outputs) == {**LATER, "rows": 9.0}  # `rows` was the engine's own
    assert set(Store(outputs).rows("SELECT name, verdict FROM checks")[1]) == {
        ("doubled", "warn"),
        ("own", "pass"),
    }


def _other_numbers(self: object, seed: int) -> WorkloadTables:
    tables = {"numbers": pa.table({"value": [1]})}
    return WorkloadTables(tables, tables_hash(tables))


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("workload", "workload: its content after rebuilding differs from that in the run"),
        ("bundle", "its bundle is not there, or out of reach"),
        ("hook", "plugin 'doubled' failed in derived_metrics: KeyError: 'a defect of the hook'"),
    ],
)
def test_a_run_that_cannot_be_derived_again_keeps_what_it_has_and_says_why(
    run: tuple[Path, str], toy_config: Make, monkeypatch: pytest.MonkeyPatch, trouble: str, reason: str
) -> None:
    outputs, run_id = run
    if trouble == "workload":
        monkeypatch.setattr("toy_study.components.ToyWorkload.build", _other_numbers)
    elif trouble == "bundle":
        shutil.rmtree(outputs / "runs" / run_id)
    else:
        monkeypatch.setattr(_Doubled, "fail", True)
    again = derive_again(outputs, [run_id])
    assert (again.run_ids, again.refused) == ([], {run_id: reason})
    assert refusal_notes(again.refused) == [f"1 run keeps metrics of an earlier definition: {reason}"]
    assert metrics(outputs) == FIRST
    if trouble != "workload":
        outcome = execute(toy_config(metrics__power={"_target_": "toy_study.components.ToyCollector"}))
        assert (outcome.skipped, outcome.rederived, outcome.outdated) == (True, False, reason)


def test_imported_runs_were_never_derived_and_are_left_alone(run: tuple[Path, str], tmp_path: Path) -> None:
    from framework.run.importing import import_file

    outputs, run_id = run
    speeds = tmp_path / "speeds.txt"
    speeds.write_text("3\n")
    import_file("toy", speeds, str(outputs))
    run_ids = [name for (name,) in Store(outputs).rows("SELECT run_id FROM runs")[1]]
    assert outdated_runs(outputs, run_ids, derivation_hash()) == [run_id]


def test_a_derivation_is_a_document_that_names_its_bundle_and_its_code(run: tuple[Path, str]) -> None:
    outputs, run_id = run
    derive_again(outputs, [run_id])
    document = json.loads((outputs / "derivations" / f"{run_id}.json").read_text())
    assert document["bundle"] == read_bundle(outputs / "runs" / run_id).checksum
    assert document["derivation_hash"] == derivation_hash()
