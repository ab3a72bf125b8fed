"""What the store is given and can't use: each becomes one clear line, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.contracts import Advice, Metric
from framework.errors import StoreError
from framework.run_record import RunRecord
from framework.store.bundles.bundle import read_bundle, write_bundle
from framework.store.bundles.compact import compact
from framework.store.bundles.heartbeat import Heartbeat, read_running
from framework.store.bundles.record_json import checksum
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store, runs_not_ingested
from framework.store.layout import database_path
from framework.store.side_files.answers import Prediction, write_advice, write_predictions


def assert_one_clear_line(text: str, culprit: str = "") -> None:
    assert text.strip()
    assert "\n" not in text
    assert len(text) < 500
    assert culprit in text


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


QUERIES = {
    "": "empty",
    "   ": "empty",
    ";": "empty",
    "-- a comment": "empty",
    "selec 1": "selec",
    "SELECT": "SELECT",
    "SELECT * FROM result": "result",
    "SELECT total_toks FROM results": "total_tok_s",
    "SELECT * FROM results ORDER BY": "syntax error",
    "SELECT * FROM results WHERE": "syntax error",
    "SELECT max(total_tok_s) FROM results GROUP BY": "syntax error",
    "SELECT nosuchfunction(1)": "nosuchfunction",
    "SELECT 'a' + 1": "",
    "SELECT 'x'::INTEGER FROM results": "x",
    "SELECT ?": "parameter",
    "SELECT 1; SELECT 2": "2 statements",
    "SELECT 1; DROP TABLE runs": "2 statements",
    "INSERT INTO runs (run_id) VALUES ('x')": "read-only",
    "UPDATE runs SET status = 'done'": "read-only",
    "DELETE FROM runs": "read-only",
    "DROP TABLE runs": "read-only",
    "ALTER TABLE runs ADD COLUMN x INT": "read-only",
    "CREATE TABLE t (a INT)": "read-only",
    "CREATE TEMP TABLE t AS SELECT 1": "read-only",
    "CREATE OR REPLACE VIEW results AS SELECT 1": "read-only",
    "ATTACH 'other.duckdb'": "read-only",
    "DETACH store": "read-only",
    "COPY runs TO 'runs.csv'": "read-only",
    "EXPORT DATABASE 'dump'": "read-only",
    "INSTALL httpfs": "read-only",
    "LOAD httpfs": "read-only",
    "SET threads = 1": "read-only",
    "PRAGMA enable_profiling": "read-only",
    "CALL pragma_version()": "read-only",
    "BEGIN": "read-only",
    "CHECKPOINT": "read-only",
    "VACUUM": "read-only",
    "PREPARE q AS SELECT 1": "read-only",
    "EXPLAIN ANALYZE DELETE FROM runs": "",
    "EXPLAIN ANALYZE COPY runs TO 'runs.csv'": "",
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1": "",
    "WITH x AS (SELECT 1) INSERT INTO runs (run_id) SELECT 'x'": "read-only",
    "WITH x AS (SELECT 1) DELETE FROM runs": "read-only",
    "MERGE INTO runs USING runs r ON false WHEN NOT MATCHED THEN INSERT": "",
    "TRUNCATE runs": "read-only",
    "CREATE TEMP MACRO f() AS 1": "read-only",
    "CREATE SECRET s (TYPE s3)": "",
    "CREATE SCHEMA other": "read-only",
    "USE memory": "read-only",
    "RESET memory_limit": "read-only",
    "SET enable_external_access = true": "read-only",
    "SET VARIABLE x = 1": "read-only",
    "IMPORT DATABASE '/tmp'": "",
    "EXECUTE q": "read-only",
    "COMMENT ON TABLE runs IS 'x'": "read-only",
    "ANALYZE runs": "read-only",
    "UPDATE EXTENSIONS": "",
    "ATTACH '/tmp/x.duckdb' AS x; SELECT 1": "2 statements",
    "SELECT 1; SET memory_limit = '1TB'": "2 statements",
    "PIVOT runs ON status; DROP TABLE runs": "",
    "SELECT * FROM read_json('/etc/passwd')": "",
    "SELECT * FROM read_blob('/etc/shadow')": "/etc/shadow",
    "SELECT * FROM read_csv_auto('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM parquet_scan('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM parquet_metadata('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM sniff_csv('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM 'runs/*/metrics.parquet'": "",
    "SELECT * FROM sqlite_scan('/tmp/x.db', 't')": "",
    "SELECT * FROM postgres_scan('', 'a', 'b')": "",
    "SELECT * FROM query('DROP TABLE runs')": "",
    "SELECT getenv('HOME')": "",
    "SELECT * FROM (DELETE FROM runs RETURNING *)": "",
    "SELECT * FROM read_csv('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM '/etc/passwd'": "/etc/passwd",
    "SELECT * FROM read_text('/etc/passwd')": "/etc/passwd",
    "SELECT * FROM glob('/etc/*')": "/etc",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')": "",
    "FROM pareto('total_tok_s')": "pareto",
    "FROM pareto('total_toks', 'itl_mean_ms')": "did you mean 'total_tok_s'",
    "FROM pareto('total_tok_s', 'energy')": "did you mean 'energy_j'",
    "FROM pareto('undirected', 'undirected')": "no better direction",
    "FROM compare('memory_gab', 'memory_gap')": "did you mean 'memory_gap'",
    "FROM compare('memory_gap')": "compare",
    "SELECT outputs FROM results": "outputs",
}


@pytest.fixture(scope="module")
def one_run_store(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    metrics = [Metric(name, 1.0) for name in ("total_tok_s", "itl_mean_ms", "energy_j", "undirected")]
    record = RunRecord(
        "run-1", "k", "memory_gap", "twin", "done", "2026-01-01T00:00:00+00:00", metrics=metrics
    )
    write_bundle(outputs, record, {})
    ingest(outputs)
    return outputs


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_is_no_select_or_wrong_is_refused_in_one_line(one_run_store, query):
    before = database_path(one_run_store).read_bytes()
    store = Store(one_run_store)
    with pytest.raises(StoreError) as refused:
        store.query(query)
    assert_one_clear_line(str(refused.value), QUERIES[query])
    assert store.rows("SELECT count(*) FROM runs")[1] == [(1,)]
    assert database_path(one_run_store).read_bytes() == before


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


def foreign_database(path: Path) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE holiday (photo VARCHAR)")


def newer_database(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, now()::TIMESTAMP)")


DATABASES = {
    "cut": (lambda path: os.truncate(path, 5000), "--rebuild"),
    "a text": (lambda path: path.write_text("hello " * 5000), "--rebuild"),
    "a folder": (lambda path: [path.unlink(), path.mkdir()], "framework.duckdb"),
    "of another program": (foreign_database, "not a store of this framework"),
    "of a newer framework": (newer_database, "update the framework"),
}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_that_is_damaged_foreign_or_newer_is_named_and_not_touched(outputs, add_run, name):
    damage, culprit = DATABASES[name]
    add_run("run-1")
    ingest(outputs)
    add_run("run-2")
    damage(database_path(outputs))
    for action in (lambda: Store(outputs).query("FROM runs"), lambda: ingest(outputs)):
        with pytest.raises(StoreError) as refused:
            action()
        assert_one_clear_line(str(refused.value), culprit)
        assert str(database_path(outputs)) in str(refused.value)


def test_an_empty_database_file_has_no_runs_and_the_next_ingest_fills_it(outputs, add_run):
    add_run("run-1")
    outputs.mkdir(exist_ok=True)
    database_path(outputs).write_bytes(b"")
    with pytest.raises(StoreError, match="no runs yet"):
        Store(outputs).query("FROM runs")
    assert ingest(outputs).added == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cut", "a text", "of another program", "of a newer framework"])
def test_a_rebuild_mends_any_database_file(outputs, add_run, name):
    add_run("run-1")
    ingest(outputs)
    DATABASES[name][0](database_path(outputs))
    assert ingest(outputs, rebuild=True).added == 1
    assert Store(outputs).rows("SELECT run_id FROM results")[1] == [("run-1",)]


def test_a_store_without_runs_says_so(tmp_path):
    for action in (
        lambda: Store(tmp_path / "nowhere").query("FROM runs"),
        lambda: ingest(tmp_path / "nowhere"),
        lambda: compact(tmp_path / "nowhere"),
    ):
        with pytest.raises(StoreError, match="no runs yet") as refused:
            action()
        assert_one_clear_line(str(refused.value), str(tmp_path / "nowhere"))


def test_bundles_that_wait_for_an_ingest_are_mentioned(outputs, add_run):
    add_run("run-1")
    with pytest.raises(StoreError, match="1 finished runs wait for `framework ingest"):
        Store(outputs).query("FROM runs")


def test_an_outputs_folder_that_is_a_file_is_named(tmp_path, record):
    path = tmp_path / "outputs"
    path.write_text("not a folder")
    for action in (
        lambda: write_bundle(path, record(), {}),
        lambda: ingest(path),
        lambda: compact(path),
        lambda: Store(path).query("FROM runs"),
        lambda: Heartbeat(path, record()).start(),
        lambda: write_advice(path, [], "e", None) or write_predictions(path, [], "p"),
    ):
        with pytest.raises(StoreError) as refused:
            action()
        assert_one_clear_line(str(refused.value), str(path))


SIDE_FILES = {
    "advice/torn.json": b'{"format": "framework-adv',
    "advice/foreign.json": b'{"advice": []}',
    "advice/list.json": b"[]",
    "advice/unsealed.json": b'{"format": "framework-advice", "advice": []}',
    "predictions/torn.parquet": b"PAR1",
    "predictions/empty.parquet": b"",
}


@pytest.mark.parametrize("name", SIDE_FILES)
def test_a_torn_file_of_advice_or_predictions_is_quarantined(outputs, add_run, name):
    add_run("run-1")
    write_advice(outputs, [Advice("bca", "opt", {}, "m", 1.0, None, None, "why", ["run-1"])], "e", "s")
    write_predictions(outputs, [Prediction(0, "ttft_mean_ms", 1.0)], "whole")
    (outputs / name).write_bytes(SIDE_FILES[name])
    report = ingest(outputs)
    assert [item.name for item in report.quarantined] == [Path(name).stem]
    assert_one_clear_line(report.quarantined[0].reason, Path(name).name)
    counts = Store(outputs).rows("SELECT (SELECT count(*) FROM advice), (SELECT count(*) FROM predictions)")[
        1
    ]
    assert counts == [(1, 1)]
    assert ingest(outputs).quarantined == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '"s3://x"', "[", "null"])
def test_a_damaged_list_of_remotes_is_named(outputs, add_run, text):
    add_run("run-1")
    (outputs / "remotes.json").write_text(text)
    with pytest.raises(StoreError) as refused:
        ingest(outputs)
    assert_one_clear_line(str(refused.value), "remotes.json")


@pytest.mark.parametrize("url", ["nosuch://bucket/x", "://", "s3 ://x", "bucket/study"])
def test_a_url_that_fsspec_does_not_know_is_named_and_not_remembered(outputs, add_run, url):
    add_run("run-1")
    with pytest.raises(StoreError) as refused:
        ingest(outputs, bundles=url)
    assert_one_clear_line(str(refused.value), url)
    assert ingest(outputs).added == 1


def test_a_bundle_read_by_hand_says_what_is_wrong_with_it(outputs, add_run):
    path = add_run("run-1")
    cut("samples.parquet", 0.5)(path)
    with pytest.raises(StoreError, match=r"samples.parquet has \d+ bytes instead of \d+"):
        read_bundle(path)


@pytest.mark.parametrize("folder", ["running", "runs"])
def test_a_folder_that_can_not_be_read_is_no_empty_one(outputs, folder):
    outputs.mkdir(exist_ok=True)
    (outputs / folder).write_text("no folder")
    ask = read_running if folder == "running" else runs_not_ingested
    with pytest.raises(StoreError, match=f"can't read .*{folder}"):
        ask(outputs)
