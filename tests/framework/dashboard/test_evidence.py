"""Pages of evidence: effects of parameters, cost, predictions against measurements."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from framework.dashboard.desk import Desk
from framework.dashboard.guard import Admission
from framework.dashboard.web_app import build_app
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.side_files.answers import Prediction, write_predictions
from tests.framework.dashboard.test_answers import specs
from tests.framework.dashboard.test_sql_attacks import said
from tests.framework.report.sample_study import done_run


def test_effects_show_the_batch_and_the_model_apart(here: TestClient) -> None:
    text = here.get("/effects?metric=total_tok_s&from=study").text
    figures = specs(text)
    assert {figure["layout"]["xaxis"]["title"]["text"] for figure in figures} == {"max_num_seqs", "model"}
    batch = next(f for f in figures if f["layout"]["xaxis"]["title"]["text"] == "max_num_seqs")
    assert batch["data"][0]["y"] == sorted(batch["data"][0]["y"])  # more throughput with every larger batch


def test_cost_follows_from_price_and_rate(here: TestClient) -> None:
    def cheapest(price: float) -> float:
        (spec,) = specs(here.get(f"/cost?work=total_tok_s&price={price}&across=itl_p99_ms&from=study").text)
        return min(y for trace in spec["data"] for y in trace["y"])

    fastest = 1000.0 * 512 / (4.0 + 0.1 * 512) / 24  # tokens a second, of the sample study
    assert cheapest(2.5) == pytest.approx(2.5 * 1e6 / (3600 * fastest), rel=1e-6)
    assert cheapest(5) == pytest.approx(2 * cheapest(2.5))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "/effects?metric=nothing",
            "/cost?price=-1",
            "/cost?price=x",
            "/cost?work=itl_p50_ms",
            "/predictions?target=x",
        ),
        *("/effects?from=nowhere", "/cost?machines=nothing"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(here: TestClient, address: str) -> None:
    assert "\n" not in said(here.get(address).text)


def test_predictions_are_compared_with_what_was_measured(tmp_path: Path) -> None:
    write_bundle(tmp_path, done_run(1), {})
    write_bundle(tmp_path, done_run(2, batch=8), {})
    rows = [
        Prediction(row, "itl_mean_ms", value, low, high, "ms", "twin", config={"backend.max_num_seqs": batch})
        for row, (batch, value, low, high) in enumerate(
            [(1, 4.51, 4.0, 5.0), (8, 9.6, 9.0, 10.0), (3, 1.0, 0.5, 2.0)]
        )
    ]
    write_predictions(tmp_path, rows, "2026-00009")
    ingest(tmp_path)
    desk = Desk(tmp_path)
    with TestClient(build_app(desk, Admission()), base_url="http://localhost") as client:
        text = client.get("/predictions").text
        (spec,) = specs(text)
    desk.close()
    assert sorted(spec["data"][0]["x"]) == [4.1, 4.8]
    assert "55" in text  # 10 % and 100 % off: the median error
    assert "50" in text  # one of two within its band


def test_a_store_without_predictions_says_how_to_make_some(here: TestClient) -> None:
    assert "validate SOURCE" in here.get("/predictions").text
