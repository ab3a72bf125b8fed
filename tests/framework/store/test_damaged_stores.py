"""Databases, side files and folders that can't be used: one clear line, and nothing that was there is lost."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from framework.contracts import Advice
from framework.errors import StoreError
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.compact import compact
from framework.store.bundles.heartbeat import Heartbeat, read_running
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store, runs_not_ingested
from framework.store.layout import database_path
from framework.store.side_files.answers import Prediction, write_advice, write_predictions
from tests.support.clear_lines import assert_one_clear_line


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


@pytest.mark.parametrize("folder", ["running", "runs"])
def test_a_folder_that_can_not_be_read_is_no_empty_one(outputs, folder):
    outputs.mkdir(exist_ok=True)
    (outputs / folder).write_text("no folder")
    ask = read_running if folder == "running" else runs_not_ingested
    with pytest.raises(StoreError, match=f"can't read .*{folder}"):
        ask(outputs)
