"""A person's SQL reads the store and nothing else: what reaches beyond it, or never ends, is refused in one line."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

FILES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_json_auto('/etc/passwd')",
    "SELECT * FROM read_ndjson('/tmp/x.json')",
    "SELECT * FROM read_parquet('/tmp/*.parquet')",
    "SELECT * FROM parquet_metadata('/tmp/x.parquet')",
    "SELECT * FROM parquet_schema('/tmp/x.parquet')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '/tmp/other.duckdb'",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT * FROM read_csv('../../../../etc/passwd')",
    "WITH x AS (SELECT * FROM read_text('/etc/hostname')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('/etc/hostname'))",
    "FROM query('SELECT * FROM read_text(''/etc/hostname'')')",
    "FROM query_table('/etc/passwd')",
    "EXPLAIN ANALYZE SELECT * FROM read_text('/etc/hostname')",
    "SELECT getenv('HOME')",
]
STATEMENTS = [
    "COPY runs TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '/tmp/stolen.parquet' (FORMAT parquet)",
    "COPY runs FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/stolen'",
    "IMPORT DATABASE '/tmp/stolen'",
    "ATTACH '/tmp/other.duckdb' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH store",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL spatial FROM 'http://example.org'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '100GB'",
    "SET lock_configuration = false",
    "RESET ALL",
    "SET python_enable_replacements = true",
    "PRAGMA enable_external_access = true",
    "PRAGMA database_list",
    "PRAGMA memory_limit='100GB'",
    "PRAGMA enable_profiling='json'",
    "INSERT INTO runs (run_id) VALUES ('x')",
    "UPDATE runs SET status = 'done'",
    "DELETE FROM runs",
    "MERGE INTO runs USING (SELECT 1 AS x) ON false WHEN MATCHED THEN DELETE",
    "TRUNCATE runs",
    "DROP TABLE runs",
    "DROP VIEW results",
    "ALTER TABLE runs ADD COLUMN x INTEGER",
    "CREATE TABLE x AS SELECT 1",
    "CREATE TEMP TABLE x AS SELECT * FROM range(10)",
    "CREATE OR REPLACE VIEW results AS SELECT 1",
    "CREATE MACRO f(a) AS a",
    "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE FUNCTION f(a) AS a",
    "CREATE SCHEMA x",
    "CREATE SEQUENCE x",
    "CREATE TYPE x AS ENUM ('a')",
    "BEGIN TRANSACTION",
    "COMMIT",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "CALL pragma_version()",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "SELECT 1; DROP TABLE runs",
    "SELECT 1; SELECT * FROM read_text('/etc/passwd')",
    "/* harmless */ DELETE FROM runs",
    "-- harmless\nDELETE FROM runs",
    "WITH x AS (SELECT 1) INSERT INTO runs (run_id) SELECT * FROM x",
    "PIVOT runs ON status; DROP TABLE runs",
    "EXPLAIN DELETE FROM runs; DELETE FROM runs",
    "",
    ";",
    "not sql at all",
    "SELECT * FROM nowhere",
    "SELECT * FROM runs WHERE run_id = 'unfinished",
    "SELECT \x01\x02",
]
ENDLESS = [
    "SELECT count(*) FROM range(1000000000000) a, range(1000000000000) b WHERE a.range * b.range = -1",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n > 0) SELECT count(*) FROM t",
    "SELECT sum(sqrt(x)) FROM (SELECT unnest(range(1000)) AS x FROM range(100000000))",
]
HUGE = [
    "SELECT repeat('x', 1000000000)",
    "SELECT list(range) FROM range(200000000)",
    "SELECT range(100000000)",
    "SELECT string_agg(md5(range::VARCHAR), '') FROM range(100000000)",
    "SELECT repeat('x', 200000) FROM range(100000)",
    "SELECT a.range, b.range FROM range(100000) a, range(100000) b ORDER BY hash(a.range, b.range)",
]


def said(page: str) -> str:
    """Return the one line in which the page says why there is no answer."""
    found = re.findall(r'<p class="note warn" role="alert">(.*?)</p>', page, flags=re.DOTALL)
    assert len(found) == 1, page
    return unescape(found[0])


def test_there_are_many_attacks() -> None:
    assert len(FILES) + len(STATEMENTS) + len(ENDLESS) + len(HUGE) > 85


@pytest.mark.parametrize("query", FILES)
def test_nothing_outside_the_store_is_read(here: TestClient, query: str) -> None:
    page = here.get("/sql", params={"q": query})
    message = said(page.text)
    assert "\n" not in message
    assert "root:" not in page.text
    file = here.get("/sql/rows.csv", params={"q": query})
    assert file.status_code == 400
    assert "root:" not in file.text


@pytest.mark.parametrize("query", STATEMENTS)
def test_nothing_is_changed_set_or_loaded(here: TestClient, outputs: Path, query: str) -> None:
    before = (outputs / "framework.duckdb").read_bytes()
    file = here.get("/sql/rows.csv", params={"q": query})
    assert file.status_code == 400
    message = said(file.text)
    assert message
    assert "\n" not in message
    if query.strip():
        assert said(here.get("/sql", params={"q": query}).text) == message
    assert (outputs / "framework.duckdb").read_bytes() == before
    assert not Path("/tmp/stolen.csv").exists()
    assert here.get("/sql", params={"q": "SELECT count(*) FROM runs"}).text.count('role="alert"') == 0


@pytest.mark.parametrize("query", ENDLESS)
def test_what_does_not_end_is_ended(here: TestClient, query: str) -> None:
    began_s = time.monotonic()
    message = said(here.get("/sql", params={"q": query}).text)
    assert re.search(r"stopped after 0.5 s|GiB of memory", message)
    assert time.monotonic() - began_s < 30


@pytest.mark.parametrize("query", HUGE)
def test_what_is_huge_is_refused_or_cut(here: TestClient, query: str) -> None:
    page = here.get("/sql", params={"q": query})
    assert len(page.content) < 200_000
    assert re.search(r"GiB of memory|MiB|stopped after|first ones|Out of Memory|larger than", page.text)


def test_the_connection_of_a_person_can_not_be_opened_up(here: TestClient) -> None:
    query = "SELECT name, value FROM duckdb_settings() WHERE name IN ('enable_external_access', 'lock_configuration')"
    rows = here.get("/sql/rows.csv", params={"q": query}).text.splitlines()
    assert sorted(rows[1:]) == ["enable_external_access,false", "lock_configuration,true"]


def test_one_query_runs_at_a_time_and_the_others_wait_or_are_told(here: TestClient) -> None:
    with ThreadPoolExecutor(3) as pool:
        pages = list(pool.map(lambda _: here.get("/sql", params={"q": ENDLESS[0]}), range(3)))
    assert {page.status_code for page in pages} == {200}
    assert all('role="alert"' in page.text for page in pages)
    assert "Rows" in here.get("/sql?q=SELECT 1").text


def test_what_neither_time_nor_memory_of_the_database_bounds_ends_too(here: TestClient) -> None:
    for query in (
        "SELECT range(10000000000)",
        "SELECT repeat('x', 4000000000)",
        "SELECT list_sort(range(90000000))",
    ):
        began_s = time.monotonic()
        assert re.search(
            r"stopped after|GiB of memory|out of range|larger than",
            said(here.get("/sql", params={"q": query}).text),
        )
        assert time.monotonic() - began_s < 30
