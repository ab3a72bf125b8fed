from __future__ import annotations

import os
import shutil
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.contracts import Advice, Metric
from framework.errors import StoreError
from framework.run_record import RunRecord
from framework.store.bundles import batches as bundle_batches
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.database import ingest as ingest_module
from framework.store.database import migrations, schema_version
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.database.run_rows import option_name
from framework.store.database.writer_lock import writer_lock
from framework.store.layout import database_path
from framework.store.lookup import outdated_runs
from framework.store.side_files.answers import Prediction, write_advice, write_predictions
from framework.store.side_files.recordings import Recording, write_recording


def counts(outputs, *tables: str) -> tuple[int, ...]:
    store = Store(outputs)
    return tuple(store.rows(f"SELECT count(*) FROM {table}")[1][0][0] for table in tables)


def test_every_bundle_is_in_the_store_once_however_often_it_is_ingested(outputs, add_run):
    add_run("run-1")
    add_run("run-2")
    assert ingest(outputs).added == 2
    add_run("run-3")
    report = ingest(outputs)
    assert (report.added, report.skipped) == (1, 2)
    assert ingest(outputs).added == 0
    assert counts(outputs, "runs", "metrics", "samples", "bundles") == (3, 9, 12, 3)


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ({"name": "small"}, "small"),
        ({"name": None, "id": "org/big"}, "org/big"),
        ({"path": "models/own"}, "own"),
        ({"path": "models/own/config.json"}, "own"),
        ({"layers": 3}, None),
    ],
)
def test_a_run_is_listed_by_what_its_model_was_given_by(model, called):
    assert option_name({"model": model}, "model") == called


def test_an_ingest_without_news_does_not_write(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    before = database_path(outputs).stat()
    ingest(outputs)
    assert database_path(outputs).stat().st_ino == before.st_ino


@pytest.mark.slow
def test_a_rebuild_gives_the_same_rows(outputs, add_run):
    for number in range(5):
        add_run(f"run-{number}", params={"backend.max_num_seqs": number})
    write_advice(outputs, [Advice("bca", "opt", {"a": 1}, "m", 1.0, 0.5, 2.0, "why", ["run-1"])], "e", "s")
    write_predictions(outputs, [Prediction(0, "ttft_mean_ms", 1.0)], "asked")
    ingest(outputs)
    tables = (
        "results",
        "runs",
        "metrics",
        "params",
        "samples",
        "checks",
        "provenance",
        "facts",
        "advice",
        "predictions",
    )
    before = {name: Store(outputs).query(f"FROM {name} ORDER BY ALL") for name in tables}
    database_path(outputs).unlink()
    ingest(outputs, rebuild=True)
    for name in tables:
        assert Store(outputs).query(f"FROM {name} ORDER BY ALL").equals(before[name]), name


def test_a_quarantined_bundle_that_is_repaired_goes_in(outputs, add_run):
    path = add_run("run-1")
    whole = (path / "samples.parquet").read_bytes()
    (path / "samples.parquet").write_bytes(whole[:100])
    assert len(ingest(outputs).quarantined) == 1
    (path / "samples.parquet").write_bytes(whole)
    assert ingest(outputs).added == 1
    assert counts(outputs, "quarantine", "runs") == (0, 1)


def test_a_quarantined_bundle_that_is_removed_is_forgotten(outputs, add_run):
    add_run("run-1")
    path = add_run("torn")
    (path / "run.json").unlink()
    ingest(outputs)
    shutil.rmtree(path)
    ingest(outputs)
    assert counts(outputs, "quarantine", "runs") == (0, 1)


def test_unfinished_bundles_and_debris_of_dead_writers_are_not_bundles(outputs, add_run):
    path = add_run("run-1")
    dead = outputs / "runs" / ".tmp-run-2.0@elsewhere.1"
    shutil.copytree(path, dead)
    assert ingest(outputs).added == 1
    assert dead.exists()
    os.utime(dead, (0, 0))
    ingest(outputs)
    assert not dead.exists()


def test_provenance_checks_and_facts_are_sql(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    store = Store(outputs)
    assert store.rows("SELECT name, value FROM provenance ORDER BY 1")[1] == [
        ("git.commit", "abc"),
        ("git.dirty", "false"),
        ("host.name", "node-1"),
    ]
    assert store.rows("SELECT name, verdict, detail FROM checks")[1] == [
        ("completed", "pass", "2000 of 2000")
    ]
    assert store.rows("SELECT name, number FROM facts")[1] == [("kv_blocks", 1234.0)]


def test_a_metric_that_could_not_be_measured_is_null_with_its_reason(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    store = Store(outputs)
    assert store.rows("SELECT value, reason FROM metrics WHERE name = 'energy_j'")[1] == [
        (None, "not modelled")
    ]
    assert store.rows("SELECT energy_j FROM results")[1] == [(None,)]


def test_a_table_widens_as_runs_bring_new_columns_and_numbers(outputs, add_run):
    add_run("run-1", tables={"extra": pa.table({"a": [1]})})
    ingest(outputs)
    add_run("run-2", tables={"extra": pa.table({"a": [1.5], "b": ["x"]})})
    add_run("run-3", tables={"extra": pa.table({"B": ["y"], "c": pa.nulls(1)})})
    ingest(outputs)
    rows = Store(outputs).rows("SELECT a, b FROM extra ORDER BY run_id")[1]
    assert rows == [(1.0, None), (1.5, "x"), (None, "y")]


def test_columns_of_clashing_types_refuse_the_later_run_only(outputs, add_run):
    add_run("run-1", tables={"extra": pa.table({"a": [1]})})
    add_run("run-2", tables={"extra": pa.table({"a": ["x"]})})
    add_run("run-3", tables={"extra": pa.table({"a": [3]})})
    report = ingest(outputs)
    assert report.added == 2
    assert [(item.name, item.reason) for item in report.quarantined] == [
        ("run-2", "table 'extra': column 'a' holds string, the store int64")
    ]


def test_a_bundle_that_duckdb_itself_refuses_does_not_stop_the_others(outputs, add_run, monkeypatch):
    for name in ("run-1", "run-2", "run-3"):
        add_run(name)
    append = ingest_module.TableSink.add

    def refusing(self, batch):
        batch = list(batch)
        if any("run-2" in rows["run_id"].to_pylist() for tables in batch for rows in tables.values()):
            raise duckdb.ConversionException("Conversion Error: no")
        append(self, batch)

    monkeypatch.setattr(ingest_module.TableSink, "add", refusing)
    report = ingest(outputs)
    assert (report.added, [item.name for item in report.quarantined]) == (2, ["run-2"])
    assert counts(outputs, "runs", "samples", "metrics") == (2, 8, 6)


@pytest.mark.slow
def test_batches_and_intermediate_publications_lose_and_repeat_nothing(outputs, add_run, monkeypatch):
    for number in range(7):
        add_run(f"run-{number}")
    monkeypatch.setattr(bundle_batches, "BATCH_BUNDLES", 2)
    monkeypatch.setattr(bundle_batches, "READ_AHEAD", 2)
    monkeypatch.setattr(ingest_module, "PUBLISH_EVERY_S", 0.0)
    seen = []
    assert ingest(outputs, progress=lambda done, total: seen.append((done, total))).added == 7
    assert counts(outputs, "runs", "results", "samples") == (7, 7, 28)
    assert seen[-1] == (7, 7)


@pytest.mark.slow
def test_a_running_run_is_listed_until_its_bundle_lands(outputs, add_run, record):
    add_run("run-0")
    with Heartbeat(outputs, record("run-1")):
        assert ingest(outputs).running == 1
        assert Store(outputs).rows("SELECT status, pid FROM runs WHERE run_id = 'run-1'")[1] == [
            ("running", os.getpid())
        ]
        add_run("run-1")
        ingest(outputs)
    assert Store(outputs).rows("SELECT run_id, status FROM runs ORDER BY 1")[1] == [
        ("run-0", "done"),
        ("run-1", "done"),
    ]
    assert os.listdir(outputs / "running") == []


def test_a_run_that_gave_up_without_a_bundle_is_a_stale_row(outputs, add_run, record):
    add_run("run-0")
    with pytest.raises(KeyboardInterrupt), Heartbeat(outputs, record("run-1")):
        raise KeyboardInterrupt
    assert ingest(outputs).stale == 1
    ((run_id, status, message),) = Store(outputs).rows("SELECT run_id, status, message FROM failures")[1]
    assert (run_id, status) == ("run-1", "stale")
    assert message.startswith("no sign of life since 20")


def test_failed_runs_are_rows_with_stage_kind_and_message(outputs, add_run):
    from framework.run_record import Failure

    add_run("run-1", status="failed", failure=Failure("backend", "EngineError", "no memory", "tail"))
    ingest(outputs)
    store = Store(outputs)
    assert store.rows("SELECT stage, kind, message, log FROM failures")[1] == [
        ("backend", "EngineError", "no memory", "tail")
    ]
    assert store.rows("SELECT count(*) FROM results")[1] == [(0,)]


@pytest.mark.slow
def test_advice_given_again_on_a_sweep_replaces_what_was_said_before(outputs, add_run):
    add_run("run-1")
    for batch in (32, 64):
        advice = [
            Advice("bca", "opt", {"backend.max_num_seqs": batch}, "m", 1.0, None, None, "why", ["run-1"])
        ]
        write_advice(outputs, advice, "memory_gap", "sweep-1")
        ingest(outputs)
    assert Store(outputs).rows("SELECT overrides, run_ids FROM advice")[1] == [
        ("backend.max_num_seqs=64", ["run-1"])
    ]


def test_predictions_keep_their_order_and_say_why_one_is_missing(outputs, add_run):
    add_run("run-1")
    asked = [
        Prediction(0, "ttft_mean_ms", 5.0, 4.0, 6.0),
        Prediction(1, "ttft_mean_ms", None, reason="unknown GPU"),
    ]
    write_predictions(outputs, asked, "asked")
    ingest(outputs)
    rows = Store(outputs).rows("SELECT row, predicted, reason FROM predictions ORDER BY row")[1]
    assert rows == [(0, 5.0, None), (1, None, "unknown GPU")]


def test_a_writer_that_waits_too_long_learns_who_holds_the_lock(outputs, add_run):
    add_run("run-1")
    with writer_lock(outputs):
        with pytest.raises(StoreError, match=rf"written by process {os.getpid()} on .* since 20") as refused:
            ingest(outputs, timeout_s=0.1)
        assert "\n" not in str(refused.value)
    assert ingest(outputs).added == 1


def test_a_failing_ingest_leaves_the_published_database_and_no_debris(outputs, add_run, monkeypatch):
    add_run("run-1")
    ingest(outputs)
    before = database_path(outputs).read_bytes()
    add_run("run-2")

    def dying(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr(ingest_module, "build_views", dying)
    with pytest.raises(RuntimeError):
        ingest(outputs)
    assert database_path(outputs).read_bytes() == before
    assert [name for name in os.listdir(outputs) if name.startswith(".tmp")] == []


@pytest.mark.slow
def test_an_older_layout_is_migrated_and_a_reader_may_still_read_it(outputs, add_run, monkeypatch):
    add_run("run-1")
    ingest(outputs)
    add_run("run-2")
    newer = schema_version.DATABASE_VERSION + 1
    for module in (schema_version, migrations):
        monkeypatch.setattr(module, "DATABASE_VERSION", newer)
    monkeypatch.setattr("framework.store.database.inventory.DATABASE_VERSION", newer)
    monkeypatch.setitem(
        migrations.MIGRATIONS, newer, ("ALTER TABLE runs ADD COLUMN mood VARCHAR DEFAULT 'calm'",)
    )
    assert Store(outputs).rows("SELECT run_id FROM runs")[1] == [("run-1",)]
    assert ingest(outputs).added == 1
    store = Store(outputs)
    assert store.rows("SELECT run_id, mood FROM runs ORDER BY 1")[1] == [("run-1", "calm"), ("run-2", "calm")]
    assert store.rows("SELECT max(version) FROM schema_version")[1] == [(newer,)]


@pytest.mark.slow
def test_a_column_that_a_schema_gained_is_added_to_a_database_made_before(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    with duckdb.connect(str(database_path(outputs))) as connection:  # as written before `measured` was there
        connection.execute("DROP VIEW IF EXISTS results")
        connection.execute("ALTER TABLE predictions DROP COLUMN measured")
    add_run("run-2", tables={"predictions": pa.table({"row": [0], "predicted": [1.0], "measured": [1.5]})})
    assert ingest(outputs).added == 1
    found = Store(outputs).rows("SELECT run_id, predicted, measured FROM predictions")[1]
    assert found == [("run-2", 1.0, 1.5)]


def test_every_older_layout_has_a_migration():
    assert set(migrations.MIGRATIONS) == set(range(2, schema_version.DATABASE_VERSION + 1))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_order_of_writes_kills_and_ingests_ends_with_every_bundle_once(tmp_path_factory, data):
    outputs = tmp_path_factory.mktemp("outputs")
    base = RunRecord("x", "k", "e", "b", "done", "2026-01-01T00:00:00+00:00", metrics=(Metric("m_ms", 1.0),))
    written = 0
    for action in data.draw(st.lists(st.sampled_from(["write", "torn", "ingest", "rebuild"]), max_size=8)):
        if action in ("write", "torn"):
            path = write_bundle(outputs, replace(base, run_id=f"run-{written}"), {})
            if action == "torn":
                (path / "metrics.parquet").write_bytes(b"PAR1")
            written += 1
        elif outputs.exists():
            ingest(outputs, rebuild=action == "rebuild")
    whole = {
        path.name for path in (outputs / "runs").glob("*") if (path / "metrics.parquet").stat().st_size > 4
    }
    ingest(outputs)
    rows = Store(outputs).rows("SELECT run_id FROM runs")[1]
    assert sorted(run_id for (run_id,) in rows) == sorted(whole)
    assert counts(outputs, "quarantine") == (written - len(whole),)


@pytest.mark.slow
def test_keys_of_configurations_are_written_anew_in_a_database_of_version_1(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    known = Store(outputs).rows("SELECT config_key FROM runs")[1]
    with duckdb.connect(str(database_path(outputs))) as connection:  # as version 1 left it
        connection.execute("UPDATE runs SET config_key = 'another algorithm'")
        connection.execute("DROP VIEW definitions")
        for table, column in (
            ("runs", "derivation_hash"),
            ("metrics", "derivation"),
            ("checks", "derivation"),
        ):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE schema_version SET version = 1")
    assert outdated_runs(outputs, ["run-1"], "present") == []  # read without being migrated
    ingest(outputs)
    assert Store(outputs).rows("SELECT config_key FROM runs")[1] == known
    assert Store(outputs).rows("SELECT max(version) FROM schema_version")[1] == [(2,)]
    assert Store(outputs).rows("SELECT count(derivation), count(*) > 0 FROM metrics")[1] == [(0, True)]


def test_a_recording_and_a_bundle_of_one_configuration_are_repeats_of_each_other(outputs, add_run, record):
    params = {"backend.name": "hadoop", "backend.heap_mb": 512, "workload.size": None}
    config = {"backend": {"name": "hadoop", "heap_mb": 512}, "workload": {"size": None, "seed": 3}}
    write_bundle(outputs, record("run-1", config=config), {})
    columns = {
        name: pa.array([value], pa.string() if value is None else None) for name, value in params.items()
    }
    recording = Recording(
        ["seen-1"], ["key"], "import:x", "recorded", "2026-01-01T00:00:00+00:00", columns, {}
    )
    write_recording(outputs, "seen", recording)
    ingest(outputs)
    keys = Store(outputs).rows("SELECT DISTINCT config_key FROM runs")[1]
    assert len(keys) == 1
