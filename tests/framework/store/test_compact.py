from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from framework.errors import StoreError
from framework.store.bundles import compact as compact_module
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.compact import compact
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.lookup import done_job_keys

TABLES = (
    "results",
    "runs",
    "metrics",
    "params",
    "samples",
    "artifacts",
    "provenance",
    "facts",
    "checks",
    "extra",
)


@pytest.fixture
def runs(outputs, record, samples, tmp_path) -> list[str]:
    """Seven bundles with artifacts and with tables that differ in columns and types."""
    log = tmp_path / "engine.log"
    log.write_text("engine up")
    extras = [pa.table({"a": [1]}), pa.table({"a": [1.5]}), pa.table({"b": ["x", None]}), None]
    run_ids = [f"run-{number}" for number in range(7)]
    for number, run_id in enumerate(run_ids):
        tables = {"samples": samples(number)}
        if (extra := extras[number % 4]) is not None:
            tables["extra"] = extra
        write_bundle(outputs, record(run_id), tables, {"log/engine.log": log} if number % 2 else {})
    return run_ids


def contents(outputs) -> dict[str, pa.Table]:
    return {name: Store(outputs).query(f"FROM {name} ORDER BY ALL") for name in TABLES}


@pytest.mark.slow
def test_compaction_loses_nothing(outputs, runs, load_run):
    ingest(outputs)
    before, bundles = contents(outputs), {run_id: load_run(run_id) for run_id in runs}
    report = compact(outputs, pack_bundles=3)
    assert (report.packed, report.packs, report.left) == (7, 3, [])
    assert os.listdir(outputs / "runs") == []
    for run_id, bundle in bundles.items():
        packed = load_run(run_id)
        assert packed.record == bundle.record
        assert packed.tables.keys() == bundle.tables.keys()
        assert all(packed.tables[name].equals(table) for name, table in bundle.tables.items())
        assert packed.artifacts == bundle.artifacts
    logs = sorted(path.read_text() for path in (outputs / "packs").glob("*/artifacts/*/log/engine.log"))
    assert logs == ["engine up"] * 3
    assert ingest(outputs).added == 0
    assert ingest(outputs, rebuild=True).added == 7
    assert {name: table.equals(before[name]) for name, table in contents(outputs).items()} == dict.fromkeys(
        TABLES, True
    )


def test_packed_runs_are_done_without_a_database(outputs, runs):
    compact(outputs)
    assert done_job_keys(outputs, [f"job-{run_id}" for run_id in runs]).keys() == {
        f"job-{run_id}" for run_id in runs
    }


def test_runs_that_come_after_a_compaction_are_packed_by_the_next(outputs, runs, add_run):
    compact(outputs)
    add_run("run-8")
    assert ingest(outputs).added == 8
    assert compact(outputs).packed == 1
    assert compact(outputs).packed == 0
    assert ingest(outputs, rebuild=True).added == 8


def test_a_torn_bundle_is_left_where_it_is(outputs, runs):
    (outputs / "runs/run-1/samples.parquet").write_bytes(b"PAR1")
    report = compact(outputs)
    assert report.packed == 6
    (reason,) = report.left
    assert "run-1" in reason
    assert os.listdir(outputs / "runs") == ["run-1"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [(Path, "rename"), (shutil, "rmtree")], ids=["before", "midway"])
def test_a_compaction_that_dies_while_it_removes_bundles_counts_each_run_once(
    outputs, runs, monkeypatch, step
):
    def dying(*arguments, **keys):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*step, dying)
        with pytest.raises(KeyboardInterrupt):
            compact(outputs)
    assert len(os.listdir(outputs / "runs")) == 7
    assert ingest(outputs).added == 7
    assert Store(outputs).rows("SELECT count(*), count(DISTINCT run_id) FROM runs")[1] == [(7, 7)]
    assert compact(outputs).packed == 0
    assert list((outputs / "runs").glob("[!.]*")) == []
    assert ingest(outputs, rebuild=True).added == 7


def test_a_pack_that_does_not_read_back_keeps_its_bundles(outputs, runs, monkeypatch):
    write = compact_module.write_pack

    def forgetful(target, sources):
        write(target, [*sources[:-1], sources[0]])

    monkeypatch.setattr(compact_module, "write_pack", forgetful)
    with pytest.raises(StoreError, match="run-6"):
        compact(outputs)
    assert len(os.listdir(outputs / "runs")) == 7


@pytest.mark.slow
@pytest.mark.parametrize("file", ["pack.json", "index.parquet", "metrics-0.parquet"])
def test_a_damaged_pack_is_quarantined_and_other_packs_go_in(outputs, runs, file):
    compact(outputs, pack_bundles=4)
    pack = min((outputs / "packs").iterdir())
    data = (pack / file).read_bytes()
    (pack / file).write_bytes(data[: len(data) // 2])
    report = ingest(outputs)
    assert report.added == 3
    assert all(file in item.reason and "\n" not in item.reason for item in report.quarantined)
    assert report.quarantined
    assert ingest(outputs).quarantined == []
    (pack / file).write_bytes(data)
    os.utime(pack / "pack.json")
    assert ingest(outputs).added == 4


def test_a_pack_without_an_artifact_says_which(outputs, runs, load_run):
    compact(outputs)
    (pack,) = (outputs / "packs").iterdir()
    shutil.rmtree(pack / "artifacts" / "run-1")
    with pytest.raises(StoreError, match=r"artifacts/run-1/log/engine\.log is missing"):
        load_run("run-1")
