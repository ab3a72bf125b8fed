"""Queries that are no SELECT, or a wrong one, are refused in one line and change nothing."""

from __future__ import annotations

import pytest

from framework.contracts import Metric
from framework.errors import StoreError
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.layout import database_path
from tests.support.clear_lines import assert_one_clear_line

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
    "INSTALL httpfs": "read-only: SELECT, not INSTALL",
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
