from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest

from framework.contracts import StoreReader
from framework.errors import StoreError
from framework.store.bundles.bundle import verify_bundle, write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store, open_published
from framework.store.layout import database_path
from tests.support.small_disk import fill


def test_a_store_is_what_advisors_and_reports_read_from(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    reader: StoreReader = Store(outputs)
    table = reader.query("SELECT run_id FROM runs WHERE run_id = ?", ["run-1"])
    assert isinstance(table, pa.Table)
    assert table.to_pylist() == [{"run_id": "run-1"}]


def test_a_store_that_is_open_sees_what_is_ingested_later(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    store = Store(outputs)
    assert store.query("FROM runs").num_rows == 1
    add_run("run-2")
    ingest(outputs)
    assert store.query("FROM runs").num_rows == 2


def test_an_ingest_does_not_disturb_a_query_that_is_under_way(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    with contextlib.closing(open_published(Store(outputs).path)) as connection:
        connection.execute("SELECT run_id FROM runs, range(200000)")
        assert connection.fetchone() == ("run-1",)
        add_run("run-2")
        ingest(outputs)
        assert set(connection.fetchall()) == {("run-1",)}


def test_python_variables_are_not_tables(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    secret = pa.table({"a": [1]})
    with pytest.raises(StoreError, match="secret"):
        Store(outputs).query("FROM secret")
    assert secret.num_rows == 1


@pytest.mark.parametrize(
    "query",
    [
        "FROM results",
        "WITH best AS (SELECT max(total_tok_s) AS x FROM results) FROM best",
        "DESCRIBE results",
        "SHOW TABLES",
        "SUMMARIZE metrics",
        "EXPLAIN SELECT 1",
        "PIVOT metrics ON name USING first(value) GROUP BY run_id",
        "VALUES (1)",
        "SELECT run_id, total_tok_s, FROM results;",
    ],
)
def test_every_way_to_ask_is_allowed(outputs, add_run, query):
    add_run("run-1")
    ingest(outputs)
    store = Store(outputs)
    assert store.query(query).num_rows > 0
    assert store.rows(query)[1]


def test_threads_share_a_store(outputs, add_run):
    add_run("run-1")
    ingest(outputs)
    store = Store(outputs)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(store.query("FROM runs").num_rows)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8


def test_a_database_in_a_folder_with_odd_letters_opens(tmp_path, record):
    outputs = tmp_path / 'it\'s a "study" ü'
    write_bundle(outputs, record(), {})
    ingest(outputs)
    assert Store(outputs).query("FROM runs").num_rows == 1


@pytest.mark.integration
def test_a_database_that_another_program_writes_to_is_named(outputs, add_run, monkeypatch):
    monkeypatch.setattr("framework.store.database.reader.FOREIGN_WRITER_WAIT_S", 0.2)
    add_run("run-1")
    ingest(outputs)
    shell = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    path = str(database_path(outputs))
    process = subprocess.Popen(
        [sys.executable, "-c", shell, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(StoreError, match="open for writing in another program"):
        Store(outputs).query("FROM runs")
    process.communicate("")
    assert Store(outputs).query("FROM runs").num_rows == 1


READ_AS_NOBODY = """
import os, sys, tempfile
from framework.errors import StoreError
from framework.store.database.reader import Store
from framework.store.database.ingest import ingest
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.bundles.bundle import write_bundle
from framework.run_record import RunRecord
record = RunRecord("run-2", "k", "e", "b", "done", "2026-01-01T00:00:00+00:00")
with tempfile.TemporaryDirectory() as warm_up:  # import what is imported lazily while that is still readable
    write_bundle(warm_up, record, {})
    ingest(warm_up)
    Store(warm_up).query("FROM results")
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(Store(sys.argv[1]).rows("SELECT count(*) FROM results")[1][0][0])
for action in (lambda: ingest(sys.argv[1]), lambda: write_bundle(sys.argv[1], record, {}),
               lambda: Heartbeat(sys.argv[1], record).start()):
    try:
        action()
    except StoreError as error:
        print(error)
"""


@pytest.mark.integration
@pytest.mark.skipif(os.getuid() != 0, reason="only root can drop to a user that may not write")
def test_a_store_that_one_may_only_read_can_be_queried_and_says_so_when_written(tmp_path_factory, record):
    outputs = tmp_path_factory.mktemp("shared") / "outputs"
    write_bundle(outputs, record(), {})
    ingest(outputs)
    for folder in (outputs, *outputs.parents):
        if folder.stat().st_uid == os.getuid() and folder.name and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    command = [sys.executable, "-c", READ_AS_NOBODY, str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    count, *refusals = done.stdout.splitlines()
    assert (count, len(refusals)) == ("1", 3), done.stderr
    assert all("no permission" in line and str(outputs) in line for line in refusals)


@pytest.mark.integration
def test_a_store_on_a_read_only_medium_can_be_queried_and_says_so_when_written(small_disk, record):
    write_bundle(small_disk, record(), {})
    ingest(small_disk)
    write_bundle(small_disk, record("run-2"), {})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert Store(small_disk).query("FROM results").num_rows == 1
    for action in (lambda: ingest(small_disk), lambda: write_bundle(small_disk, record("run-3"), {})):
        with pytest.raises(StoreError, match="read-only") as refused:
            action()
        assert "\n" not in str(refused.value)


@pytest.mark.integration
def test_a_run_that_does_not_fit_on_the_disk_leaves_nothing_behind(small_disk, record, samples):
    write_bundle(small_disk, record("run-1"), {"samples": samples()})
    fill(small_disk, 16384)
    noise = np.random.default_rng(0).normal(size=20000)
    big = pa.table({"t_s": noise, "name": ["running"] * len(noise), "value": noise * 1.1})
    with pytest.raises(StoreError, match=r"runs/run-2: no space left") as refused:
        write_bundle(small_disk, record("run-2"), {"samples": big})
    assert "\n" not in str(refused.value)
    assert os.listdir(small_disk / "runs") == ["run-1"]
    (small_disk / "ballast").unlink()
    write_bundle(small_disk, record("run-2"), {"samples": big})
    verify_bundle(small_disk / "runs" / "run-2")


@pytest.mark.integration
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.001, 1.05, 1.2, 1.5])
def test_an_ingest_that_runs_out_of_disk_changes_nothing(small_disk, record, samples, share):
    write_bundle(small_disk, record("run-1"), {"samples": samples()})
    ingest(small_disk)
    before = database_path(small_disk).read_bytes()
    noise = np.random.default_rng(0).normal(size=200_000)
    big = pa.table({"t_s": noise, "name": ["running"] * len(noise), "value": noise * 1.1})
    write_bundle(small_disk, record("run-2"), {"samples": big})
    fill(small_disk, int(share * len(before)))
    with pytest.raises(StoreError, match=r"framework\.duckdb") as refused:
        ingest(small_disk)
    assert "\n" not in str(refused.value)
    assert "space" in str(refused.value)
    assert database_path(small_disk).read_bytes() == before
    assert Store(small_disk).rows("SELECT run_id FROM results")[1] == [("run-1",)]
    assert [name for name in os.listdir(small_disk) if name.startswith(".tmp")] == []
    (small_disk / "ballast").unlink()
    assert ingest(small_disk).added == 1
