"""What a query may take, how its rows come out, and how it is ended."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from framework.cli import sql_verb
from framework.cli.verbs import run_verb
from framework.errors import ConfigError, StoreError
from framework.store.database.ingest import ingest
from framework.store.database.query_limits import QueryLimits
from tests.support.waiting import wait_for

ENDLESS = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT max(n) FROM t"
HUGE = "SELECT list(i) FROM range(100000000) r(i)"


@pytest.fixture
def store(outputs, add_run):
    add_run("run-1", {"total_tok_s": 1.5, "itl_mean_ms": 2.0}, params={"backend.max_num_seqs": 8})
    add_run("run-2", {"total_tok_s": 2.5}, params={"backend.max_num_seqs": 64})
    ingest(outputs)
    return str(outputs)


@pytest.mark.parametrize(
    ("query", "limits", "message"),
    [
        (ENDLESS, QueryLimits(timeout_s=0.2), "stopped after 0.2 s; --timeout SECONDS allows more"),
        (
            HUGE,
            QueryLimits(memory_gib=0.1),
            "needs more than 0.1 GiB of memory; --max-memory GIB allows more",
        ),
    ],
)
def test_a_query_that_takes_too_much_is_stopped_in_one_line(store, query, limits, message):
    with pytest.raises(StoreError) as stopped:
        sql_verb.run_sql(query, "csv", store, limits)
    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert sql_verb.run_sql("SELECT 1", "csv", store, limits) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "limit", "said"),
    [
        ("SELECT range(1000000000)", ("--max-memory", "0.1"), "needs more than 0.1 GiB of memory"),
        ("SELECT md5(repeat('x', 900000000))", ("--max-memory", "0.1"), "needs more than 0.1 GiB of memory"),
        ("SELECT list_sort(range(20000000))", ("--timeout", "0.1"), "stopped after 0.1 s"),
    ],
)
def test_constants_that_duckdb_computes_unlimited_while_it_plans_are_limited_too(store, query, limit, said):
    command = [sys.executable, "-m", "framework", "sql", query, *limit, "--outputs", store]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: SQL: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_the_limit_of_the_systems_memory_ends_with_the_query(store):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    assert run_verb(["sql", "SELECT 1", "--max-memory", "0.5", "--outputs", store]) == 0
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_defaults_are_limits_and_nonsense_is_refused():
    assert QueryLimits().timeout_s == 60
    assert 0 < QueryLimits().memory <= 4
    with pytest.raises(ConfigError, match="--timeout: must be 0"):
        QueryLimits(timeout_s=-1)


def test_data_that_is_cut_is_no_success(store, capsys):
    with pytest.raises(StoreError, match="stopped after 3 rows; --max-rows N allows more"):
        sql_verb.run_sql("SELECT * FROM range(10)", "csv", store, QueryLimits(rows=3))
    assert capsys.readouterr().out.splitlines()[1:] == ["0", "1", "2"]
    assert sql_verb.run_sql("SELECT * FROM range(3)", "csv", store, QueryLimits(rows=3)) == 0


def test_a_table_says_how_to_see_all_of_its_rows(store, capsys):
    assert sql_verb.run_sql("SELECT range AS year FROM range(2000, 90000)", "table", store) == 0
    captured = capsys.readouterr()
    assert "2199" in captured.out
    assert "the first 200 rows; --max-rows N shows more, --format csv prints all" in captured.err


@pytest.mark.slow
def test_rows_are_printed_as_they_are_made_and_ctrl_c_ends_with_130(store):
    query = "SELECT i, i || 'x' AS text FROM range(200000000) r(i)"
    command = [sys.executable, "-m", "framework", "sql", query, "--format", "csv", "--outputs", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        started = time.monotonic()
        assert [process.stdout.readline() for _ in range(3)] == [b"i,text\n", b"0,0x\n", b"1,1x\n"]
        assert time.monotonic() - started < 30
        for _ in range(200_000):
            process.stdout.readline()
        memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert memory < 600 * 2**20
    assert process.returncode == 130
    assert said.decode().startswith("interrupted")


@pytest.mark.slow
def test_ctrl_c_ends_a_query_that_has_no_row_yet(store):
    command = [sys.executable, "-m", "framework", "sql", ENDLESS, "--outputs", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 2)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode()) == (130, "interrupted; the same command resumes\n")


ODD = "SELECT 1 AS n, NULL::DOUBLE AS nothing, 'nan'::DOUBLE AS no_number, '' AS empty, NULL::VARCHAR AS no_text"


def test_an_export_keeps_what_its_format_can_hold(store, tmp_path, capsys):
    for suffix in ("csv", "json", "parquet"):
        assert run_verb(["export", ODD, str(tmp_path / f"rows.{suffix}"), "--outputs", store]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"1 rows written to {tmp_path}/rows.csv"
    table = pq.read_table(tmp_path / "rows.parquet")
    (row,) = table.to_pylist()
    assert [str(kind) for kind in table.schema.types] == ["int32", "double", "double", "string", "string"]
    assert (row["nothing"], row["empty"], row["no_text"]) == (None, "", None)
    assert math.isnan(row["no_number"])
    assert (tmp_path / "rows.csv").read_text() == 'n,nothing,no_number,empty,no_text\n1,,nan,"",\n'
    assert json.loads((tmp_path / "rows.json").read_text())[0]["no_number"] is None


def test_an_export_that_fails_leaves_the_file_that_was_there(store, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("mine")
    with pytest.raises(StoreError):
        run_verb(["export", "SELECT error('no') FROM runs", str(file), "--outputs", store])
    with pytest.raises(ConfigError, match="unknown format 'txt'"):
        run_verb(["export", "results", str(tmp_path / "rows.txt"), "--outputs", store])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["rows.csv"]
    assert file.read_text() == "mine"


def test_a_table_or_view_may_be_named_alone(store, tmp_path):
    assert run_verb(["export", "results", str(tmp_path / "r.json"), "--outputs", store]) == 0
    assert [row["run_id"] for row in json.loads((tmp_path / "r.json").read_text())] == ["run-1", "run-2"]


def test_everything_on_a_narrow_terminal_is_what_varies_and_the_rest_is_named(store, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert sql_verb.run_sql("SELECT * FROM results", "table", store) == 0
    captured = capsys.readouterr()
    head = captured.out.splitlines()[0].split()
    assert head[0] == "run_id"
    assert "max_num_seqs" in head
    assert "experiment" not in head
    assert "left out (the same in all rows: experiment=" in captured.err
    assert "--format csv prints all" in captured.err


def test_the_shell_answers_until_it_is_left(store, capsys, monkeypatch, tmp_path):
    lines = iter(
        [".tables", "SELECT 20261128 AS day", ";", ".schema runs", "SELECT nothing;", ".help", ".quit"]
    )
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert sql_verb.query_shell(lambda text, format: sql_verb.run_sql(text, format, store), "table") == 0
    captured = capsys.readouterr()
    for word in ("results", "pareto", "20261128", "experiment", ".format NAME"):
        assert word in captured.out
    assert captured.err.count("error: SQL: ") == 1


@pytest.mark.slow
def test_a_query_may_come_through_a_pipe(store):
    command = [sys.executable, "-m", "framework", "sql", "--format", "json", "--outputs", store]
    done = subprocess.run(command, input="SELECT 1 AS one", capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (0, [{"one": 1}])
