"""Bundles that can't be believed, and what is refused before it becomes one: each is one clear line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.contracts import Metric
from framework.errors import StoreError
from framework.run_record import RunRecord
from framework.store.bundles.bundle import read_bundle, write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.bundles.record_json import checksum
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from tests.support.clear_lines import assert_one_clear_line


def cut(name: str, keep: float):
    """Truncate a file of a bundle to a share of its size."""

    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return damage


def flip(name: str, at: float):
    """Change one byte of a file."""

    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int(len(data) * at)] ^= 0xFF
        (folder / name).write_bytes(data)

    return damage


def gone(name: str):
    return lambda folder: (folder / name).unlink()


def replaced(name: str, data: bytes):
    return lambda folder: (folder / name).write_bytes(data)


def edited(change, seal: bool = True):
    """Change `run.json` as its writer could have; sealed again with a right checksum unless told not to."""

    def damage(folder: Path) -> None:
        document = json.loads((folder / "run.json").read_text())
        document.pop("checksum")
        change(document)
        if seal:
            document["checksum"] = checksum(document)
        (folder / "run.json").write_text(json.dumps(document))

    return damage


def record_field(**fields):
    return edited(lambda document: document["record"].update(fields))


def without_field(name):
    return edited(lambda document: document["record"].pop(name))


def rewritten(name: str, table: pa.Table):
    """Put another table under a name, with a right size and checksum in `run.json`."""

    def damage(folder: Path) -> None:
        import hashlib

        pq.write_table(table, folder / name)
        data = (folder / name).read_bytes()
        file = {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

        def change(document):
            document["files"] = [f for f in document["files"] if f["path"] != name] + [file]

        edited(change)(folder)

    return damage


def as_folder(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def file_path(path: str):
    return edited(lambda document: document["files"].append({"path": path, "bytes": 0, "sha256": ""}))


OWN = pa.table({"run_id": ["another"], "name": ["a"], "value": [1.0]})
NONE = OWN.slice(0, 0)
BUNDLES = {
    "run.json missing": gone("run.json"),
    "run.json empty": replaced("run.json", b""),
    "run.json cut in half": cut("run.json", 0.5),
    "run.json without its last byte": lambda f: cut("run.json", 0.9999)(f),
    "run.json is a folder": as_folder("run.json"),
    "run.json is binary": replaced("run.json", b"\x00\xff\xfe"),
    "run.json is a list": replaced("run.json", b"[]"),
    "run.json is null": replaced("run.json", b"null"),
    "run.json of another program": replaced("run.json", b'{"tool": "other"}'),
    "run.json with a changed byte": flip("run.json", 0.5),
    "run.json edited by hand": edited(lambda d: d["record"].update(experiment="mine"), seal=False),
    "version 0": edited(lambda d: d.update(schema_version=0)),
    "version of the future": edited(lambda d: d.update(schema_version=99)),
    "version is a text": edited(lambda d: d.update(schema_version="1")),
    "version is true": edited(lambda d: d.update(schema_version=True)),
    "version missing": edited(lambda d: d.pop("schema_version")),
    "record missing": edited(lambda d: d.pop("record")),
    "record is a list": edited(lambda d: d.update(record=[])),
    "files missing": edited(lambda d: d.pop("files")),
    "files is a text": edited(lambda d: d.update(files="all")),
    "files without sizes": edited(lambda d: d.update(files=[{"path": "metrics.parquet"}])),
    "files without metrics": edited(lambda d: d.update(files=d["files"][1:])),
    "a file outside the bundle": file_path("../../elsewhere.parquet"),
    "an absolute file": file_path("/etc/passwd"),
    "an empty file path": file_path(""),
    "another run's id": record_field(run_id="other"),
    "no run id": without_field("run_id"),
    "no run key": without_field("run_key"),
    "no experiment": without_field("experiment"),
    "run key is a number": record_field(run_key=5),
    "status running": record_field(status="running"),
    "status unknown": record_field(status="finished"),
    "no time": record_field(started_at="yesterday"),
    "end is not a time": record_field(finished_at="soon"),
    "config is a text": record_field(config="backend=twin"),
    "facts is a list": record_field(facts=[1]),
    "metrics is an object": record_field(metrics={}),
    "a metric without a name": record_field(metrics=[{"value": 1}]),
    "a metric that is a number": record_field(metrics=[1]),
    "a check without a verdict": record_field(checks=[{"name": "completed"}]),
    "sanity unknown": record_field(sanity="fine"),
    "seed is a text": record_field(seed="lucky"),
    "metrics missing": gone("metrics.parquet"),
    "metrics empty": replaced("metrics.parquet", b""),
    "metrics cut": cut("metrics.parquet", 0.7),
    "metrics with a changed byte": flip("metrics.parquet", 0.3),
    "params with a changed byte": flip("params.parquet", 0.9),
    "samples missing": gone("samples.parquet"),
    "samples cut": cut("samples.parquet", 0.99),
    "samples is a folder": as_folder("samples.parquet"),
    "samples of another run": rewritten("samples.parquet", OWN),
    "samples without run id": rewritten("samples.parquet", OWN.drop_columns(["run_id"])),
    "samples of another type": rewritten(
        "samples.parquet", NONE.set_column(2, "value", pa.array([], pa.binary()))
    ),
    "metrics with other columns": rewritten("metrics.parquet", NONE),
    "a table of the store's own": rewritten("runs.parquet", NONE),
    "a table with a bad name": rewritten("My Table.parquet", NONE),
    "a folder of something else": lambda f: [shutil.rmtree(f), f.mkdir(), (f / "notes.txt").write_text("hi")],
    "a file instead of a folder": lambda f: [shutil.rmtree(f), f.write_text("hi")],
    "an empty folder": lambda f: [shutil.rmtree(f), f.mkdir()],
    "a dangling link": lambda f: [shutil.rmtree(f), f.symlink_to("nowhere")],
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """One outputs folder with all of these bundles between two whole ones, ingested once: (outputs, report)."""
    outputs = tmp_path_factory.mktemp("outputs")
    samples = pa.table({"t_s": [0.0], "name": ["running"], "value": [1.0]})
    for name in ("a-whole", *(f"torn-{number}" for number in range(len(BUNDLES))), "whole-z"):
        record = RunRecord(name, "k", "memory_gap", "twin", "done", "2026-01-01T00:00:00+00:00")
        record = replace(record, metrics=(Metric("total_tok_s", 1.0),), finished_at=record.started_at)
        write_bundle(outputs, record, {"samples": samples})
    for number, damage in enumerate(BUNDLES.values()):
        damage(outputs / "runs" / f"torn-{number}")
    return outputs, ingest(outputs)


@pytest.mark.parametrize("case", BUNDLES)
def test_a_bundle_that_cannot_be_believed_is_quarantined_with_a_reason(damaged, case):
    outputs, report = damaged
    name = f"torn-{list(BUNDLES).index(case)}"
    (reason,) = [item.reason for item in report.quarantined if item.name == name]
    assert_one_clear_line(reason)
    store = Store(outputs)
    assert store.rows("SELECT reason FROM quarantine WHERE name = ?", [name])[1] == [(reason,)]
    for table in ("runs", "samples", "metrics", "params", "bundles"):
        assert store.rows(f"SELECT count(*) FROM {table} WHERE run_id = ?", [name])[1] == [(0,)]


def test_whole_bundles_beside_damaged_ones_go_in(damaged):
    outputs, report = damaged
    assert (report.added, len(report.quarantined)) == (2, len(BUNDLES))
    assert Store(outputs).rows("SELECT run_id FROM results ORDER BY 1")[1] == [("a-whole",), ("whole-z",)]
    again = ingest(outputs)
    assert (again.added, again.skipped, again.quarantined) == (0, 2, [])


RUN_IDS = ["", ".hidden", "../up", "a/b", "a b", "a\nb", "x" * 200, "ü", "-", "a\x00b"]


@pytest.mark.parametrize("run_id", RUN_IDS)
def test_a_run_id_that_no_folder_can_have_is_refused(outputs, record, run_id):
    with pytest.raises(StoreError, match="run id") as refused:
        write_bundle(outputs, record(run_id), {})
    assert_one_clear_line(str(refused.value))
    with pytest.raises(StoreError, match="run id"):
        Heartbeat(outputs, record(run_id))


TABLES = {
    "Samples": (pa.table({"a": [1]}), "lower-case"),
    "my table": (pa.table({"a": [1]}), "lower-case"),
    "runs": (pa.table({"a": [1]}), "the store's own"),
    "results": (pa.table({"a": [1]}), "the store's own"),
    "samples": (pa.table({"t_s": ["early"], "name": ["a"], "value": [1.0]}), "t_s"),
    "twice": (pa.table([pa.array([1]), pa.array([2])], names=["a", "A"]), "one name"),
    "nameless": (pa.table([pa.array([1])], names=[""]), "no name"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_breaks_its_schema_is_refused_before_anything_is_written(outputs, record, name):
    table, culprit = TABLES[name]
    with pytest.raises(StoreError) as refused:
        write_bundle(outputs, record(), {name: table})
    assert_one_clear_line(str(refused.value), culprit)
    assert not outputs.exists()


RECORDS = {
    "a run that is not over": {"status": "running"},
    "a metric reported twice": {"metrics": (Metric("a", 1.0), Metric("a", 2.0))},
    "a metric without a name": {"metrics": (Metric("", 1.0),)},
}


@pytest.mark.parametrize("changes", RECORDS.values(), ids=RECORDS.keys())
def test_a_record_that_says_nothing_sound_is_refused(outputs, record, changes):
    with pytest.raises(StoreError, match="run-1") as refused:
        write_bundle(outputs, record(**changes), {})
    assert_one_clear_line(str(refused.value))


def test_a_bundle_read_by_hand_says_what_is_wrong_with_it(outputs, add_run):
    path = add_run("run-1")
    cut("samples.parquet", 0.5)(path)
    with pytest.raises(StoreError, match=r"samples.parquet has \d+ bytes instead of \d+"):
        read_bundle(path)
