"""Pages that answer a question: the experiment, Pareto fronts, comparisons, sweeps as they run, what would be."""

from __future__ import annotations

import json
import re
import threading
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from framework.dashboard.desk import Desk
from framework.dashboard.guard import Admission
from framework.dashboard.web_app import build_app
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.heartbeat import Heartbeat
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
from tests.framework.dashboard.test_sql_attacks import said
from tests.framework.report.sample_study import done_run


def specs(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in re.findall(r'class="spec"[^>]*>(.*?)</script>', page)]


def test_the_experiment_opens_with_the_answer_and_its_advice(here: TestClient) -> None:
    text = here.get("/experiment?name=study").text
    assert "max_num_seqs=512 gives the highest total_tok_s" in unescape(text)
    assert "How sure" in text
    assert "95 % of the plateau" in text
    assert "no room for one request" in text


def test_an_experiment_that_is_not_there_is_named(here: TestClient) -> None:
    answer = here.get("/experiment?name=studies")
    assert answer.status_code == 404
    assert "did you mean 'study'?" in said(answer.text)


def test_the_axes_of_the_front_can_be_chosen(here: TestClient) -> None:
    text = here.get("/pareto?up=total_tok_s&across=itl_p99_ms&from=study&by=model").text
    (spec,) = specs(text)
    assert spec["layout"]["xaxis"]["title"]["text"].startswith("itl_p99_ms")
    assert spec["layout"]["yaxis"]["title"]["text"].startswith("total_tok_s")
    assert "the answer" in text
    assert "python -m framework pareto total_tok_s itl_p99_ms --from study --by model" in text


def test_a_limit_moves_the_answer(here: TestClient) -> None:
    def stars(address: str) -> list[float]:
        (spec,) = specs(here.get(address).text)
        return [
            x for trace in spec["data"] if trace.get("marker", {}).get("symbol") == "star" for x in trace["x"]
        ]

    free = stars("/pareto?up=total_tok_s&across=itl_mean_ms&from=study&by=model")
    bound = stars("/pareto?up=total_tok_s&across=itl_mean_ms&from=study&by=model&limit=itl_mean_ms<%3D12")
    assert max(free) > 12
    assert max(bound) <= 12


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/pareto?up=no_metric", "no run has a metric 'no_metric'"),
        ("/pareto?up=total_tok_s&across=itl_mean_ms&limit=nonsense", "is not a limit"),
        ("/pareto?up=total_tok_s&across=itl_mean_ms&by=nothing", "no run has a parameter 'nothing'"),
        ("/pareto?up=total_tok_s&across=itl_mean_ms&from=nowhere", "no run, sweep or experiment 'nowhere'"),
        ("/compare?a=nobody&b=study", "no done run, sweep or experiment 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_said_on_the_page(here: TestClient, address: str, message: str) -> None:
    assert message in said(here.get(address).text)


def test_two_picked_runs_are_compared(here: TestClient) -> None:
    text = here.get("/compare?run=2026-00001&run=2026-00002").text
    assert "backend.max_num_seqs" in text
    assert "total_tok_s" in text
    assert here.get("/compare?run=2026-00001").status_code == 400


def sweep_of(outputs: Path, points: int) -> list[RunRecord]:
    records = [done_run(index, batch=2**index) for index in range(points)]
    plan = SweepPlan(
        "study-abc", "study", "2026-01-02T03:00:00+00:00", "code", {},
        [{"index": i, "overrides": [f"backend.max_num_seqs={2**i}"], "repeat": 0} for i in range(points)],
        [str(record.job_key) for record in records],
    )  # fmt: skip
    save_plan(outputs, plan)
    return records


def test_the_live_view_follows_a_sweep(tmp_path: Path) -> None:
    records = sweep_of(tmp_path, 4)
    write_bundle(tmp_path, records[0], {})
    desk = Desk(tmp_path)
    with TestClient(build_app(desk, Admission()), base_url="http://localhost") as client:
        assert "1 done, 0 failed, 0 running, 3 open" in client.get("/live").text
        beat = Heartbeat(tmp_path, records[1], period_s=0.05)
        with beat:
            beat.progress(0.4, "decoding")
            written = threading.Event()
            while "40 % decoding" not in client.get("/live?part=1").text:
                written.wait(0.02)
            assert "1 done, 0 failed, 1 running, 2 open" in client.get("/live?part=1").text
            write_bundle(tmp_path, records[1], {})
        part = client.get("/live?part=1").text
        assert "2 done, 0 failed, 0 running, 2 open" in part
        assert "<html" not in part
    desk.close()


@pytest.fixture(scope="module")
def what_if(here: TestClient) -> dict[str, str]:
    addresses = {
        "start": "/what-if",
        "busy": "/what-if?rate_rps=50&part=1",
        "too small": "/what-if?part=1&gpu=l4&model=llama-2-13b",
    }
    return {name: here.get(address).text for name, address in addresses.items()}


@pytest.mark.slow
def test_the_twin_answers_for_the_values_of_the_sliders(what_if: dict[str, str]) -> None:
    def wait_ms(page: str) -> float:
        return float(re.findall(r"first token within ([\d,]+) ms", page)[0].replace(",", ""))

    assert wait_ms(what_if["busy"]) > 10 * wait_ms(what_if["start"])
    assert len(specs(what_if["busy"])) == 1
    assert "<form" not in what_if["busy"]
    assert "<form" in what_if["start"]


@pytest.mark.slow
def test_a_setting_that_no_server_could_have_is_refused_in_one_line(what_if: dict[str, str]) -> None:
    assert "memory" in said(what_if["too small"]).lower()


@pytest.mark.parametrize(
    "address",
    [
        "/what-if?rate_rps=nan",
        "/what-if?max_num_seqs=100000",
        "/what-if?model=/etc/passwd",
        "/what-if?gpu=../x",
        "/what-if?x=1",
    ],
)
def test_a_value_that_no_control_has_is_refused(here: TestClient, address: str) -> None:
    answer = here.get(address)
    assert answer.status_code == 400
    assert "\n" not in said(answer.text)
