"""The runs table, the page of a run and the SQL page say what the store says."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from framework.dashboard.example_queries import EXAMPLES
from framework.report.sample_figure import sample_figure
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from tests.framework.report.sample_study import done_run


def runs_on(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/run/([^"]+)"', page)


def test_the_overview_counts_runs_and_repeats_the_advice(here: TestClient) -> None:
    text = here.get("/").text
    assert "17 runs in" in text
    assert "95 % of the plateau" in text
    assert "backend.max_num_seqs=128" in text


def test_filters_of_the_address_choose_the_runs(here: TestClient) -> None:
    assert len(runs_on(here.get("/runs").text)) == 17
    assert runs_on(here.get("/runs?status=failed").text) == ["2026-00021"]
    assert len(runs_on(here.get("/runs?q=llama-2-7b").text)) == 7
    assert len(runs_on(here.get("/runs?q=max_num_seqs>=128").text)) == 6
    assert len(runs_on(here.get("/runs?q=llama+max_num_seqs>=128").text)) == 3
    assert len(runs_on(here.get("/runs?model=opt-1.3b&q=max_num_seqs=16").text)) == 1
    assert "<output>" not in here.get("/runs?sanity=warn").text
    assert runs_on(here.get("/runs?sanity=warn").text) == ["2026-00020"]


def test_the_table_is_sorted_by_any_column_and_missing_values_come_last(here: TestClient) -> None:
    slowest = runs_on(here.get("/runs?experiment=study&sort=total_tok_s&order=ascending").text)
    assert slowest[0] == "2026-00007"  # the larger model, one request at a time
    assert slowest[-1] == "2026-00021"  # failed
    assert runs_on(here.get("/runs?experiment=study&sort=total_tok_s").text)[-1] == "2026-00021"


def test_the_columns_that_are_asked_for_are_shown(here: TestClient) -> None:
    text = here.get("/runs?show=itl_p99_ms").text
    head = re.findall(r"<a href=\"[^\"]*sort=(\w+)", text)
    assert "itl_p99_ms" in head
    assert "itl_p50_ms" not in head


def test_a_link_gives_the_table_as_sql(here: TestClient) -> None:
    page = here.get("/runs?q=llama+total_tok_s>1&sanity=pass&sort=total_tok_s").text
    address = unescape(re.findall(r'href="(/sql\?q=[^"]+)">the same in SQL', page)[0])
    answer = here.get(address)
    assert "7 rows" in answer.text


def test_the_page_of_a_run_has_its_metrics_settings_samples_and_logs(here: TestClient) -> None:
    text = here.get("/run/2026-00000").text
    for part in (
        "total_tok_s",
        "the twin has no &lt;power&gt; model",
        "backend.max_num_seqs",
        "0123abcd",
        "began",
    ):
        assert part in text
    spec = json.loads(re.findall(r'class="spec"[^>]*>(.*?)</script>', text)[0])
    assert [trace["name"] for trace in spec["data"]] == ["<script>alert(1)</script>", "running"]


def test_the_page_of_a_failed_run_says_why(here: TestClient) -> None:
    text = here.get("/run/2026-00021").text
    assert "no room for one request" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_page_that_was_read_before_follows_the_database(tmp_path: Path) -> None:
    from framework.dashboard.desk import Desk
    from framework.dashboard.guard import Admission
    from framework.dashboard.web_app import build_app

    write_bundle(tmp_path, done_run(1), {})
    ingest(tmp_path)
    desk = Desk(tmp_path)
    with TestClient(build_app(desk, Admission()), base_url="http://localhost") as client:
        assert "1 run in" in client.get("/").text
        write_bundle(tmp_path, done_run(2, batch=8), {})
        assert "1 finished run not in the database yet" in client.get("/").text
        ingest(tmp_path)
        assert "2 runs in" in client.get("/").text
    desk.close()


@pytest.mark.parametrize(("name", "query"), EXAMPLES)
def test_every_example_query_has_an_answer(here: TestClient, name: str, query: str) -> None:
    page = here.get("/sql", params={"q": query})
    assert 'role="alert"' not in page.text
    assert "Rows of the query" in page.text


def test_rows_come_as_csv_json_and_parquet(here: TestClient) -> None:
    query = {"q": "SELECT run_id, total_tok_s, NULL AS nothing FROM results ORDER BY run_id LIMIT 3"}
    lines = here.get("/sql/rows.csv", params=query).text.splitlines()
    assert lines[0] == "run_id,total_tok_s,nothing"
    assert len(lines) == 4
    assert len(here.get("/sql/rows.json", params=query).json()) == 3
    table = pq.read_table(io.BytesIO(here.get("/sql/rows.parquet", params=query).content))
    assert table.num_rows == 3


def test_the_page_shows_the_first_rows_and_the_file_has_all(here: TestClient) -> None:
    query = {"q": "SELECT range FROM range(1234)"}
    assert "50 rows, the first ones" in here.get("/sql", params=query).text
    assert len(here.get("/sql/rows.csv", params=query).text.splitlines()) == 1235


def test_a_long_series_keeps_its_peaks(tmp_path: Path) -> None:
    times = [0.01 * i for i in range(50_000)]
    values = [1.0 if i != 31_234 else 99.0 for i in range(50_000)]
    samples = pa.table({"t_s": times, "name": ["power"] * len(times), "value": values})
    write_bundle(tmp_path, done_run(1), {"samples": samples})
    ingest(tmp_path)
    figure = sample_figure(Store(tmp_path), "2026-00001")
    assert figure is not None
    (trace,) = figure.spec["data"]
    assert max(trace["y"]) == 99.0
    assert len(trace["y"]) < 1100
    assert "n = 50,000 (power)" in figure.caption
