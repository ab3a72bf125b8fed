"""Closed loops and sessions on the twin, composed and executed as a command does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import open_dict

from framework.configuration.composition import compose
from framework.errors import ConfigError
from framework.run.runner import RunOutcome, execute
from framework_serving.metrics.request_times import RequestTimes
from framework_twin.measured.published_prediction import (
    closed_loop_requests,
    deployment_of,
    predict_published,
)
from framework_twin.measured.published_table import read_published_runs
from framework_twin.physics.uncalibrated.engine_work import engine_works

FIXED = (
    "backend=twin model=llama-3.1-8b gpu=h100-80gb backend.max_model_len=8192 workload=fixed "
    "workload.num_requests=200 workload.lengths.input_tokens=256 workload.lengths.output_tokens=32"
)
USERS = f"{FIXED} workload.arrivals.kind=concurrency"


def run(text: str, folder: Path) -> tuple[RunOutcome, pa.Table]:
    config = compose(text.split())
    with open_dict(config):
        config.outputs_dir, config.resume = str(folder), False
    done = execute(config)
    assert done.failure is None, done.failure
    return done, pq.read_table(folder / "runs" / done.run_id / "requests.parquet")


def open_at_once(requests: pa.Table) -> int:
    times = RequestTimes.of(requests)
    events = np.concatenate([times.arrival_s, times.last_token_s])
    change = np.repeat([1, -1], len(times.arrival_s))
    return int(np.cumsum(change[np.lexsort((change, events))]).max())


def test_a_fixed_number_of_requests_is_open_as_with_max_concurrency(tmp_path: Path) -> None:
    done, requests = run(f"{USERS} workload.arrivals.concurrency=16", tmp_path)
    assert open_at_once(requests) == 16
    assert done.metrics["completed"] == 200
    times = RequestTimes.of(requests)
    order = np.sort(times.arrival_s)
    np.testing.assert_allclose(order[16:], np.sort(times.last_token_s)[:-16])  # each end brings the next one


def test_little_law_holds_with_think_time(tmp_path: Path) -> None:
    """N = X (R + Z): users = throughput x (response time + think time), away from the ends."""
    text = (
        f"{USERS} workload.num_requests=4000 workload.arrivals.concurrency=20 workload.arrivals.think_s=0.5"
    )
    done, _ = run(f"{text} workload.arrivals.think_cv=1", tmp_path)
    metrics = done.metrics
    assert metrics["requests_s"] * (metrics["e2e_mean_ms"] / 1e3 + 0.5) == pytest.approx(20, rel=0.05)


def test_a_capped_stream_waits_at_the_client_and_an_uncapped_one_in_the_engine(tmp_path: Path) -> None:
    stream = f"{FIXED} workload.arrivals.kind=poisson workload.arrivals.rate_rps=400"
    free, _ = run(stream, tmp_path)
    capped, requests = run(f"{stream} workload.arrivals.concurrency=8", tmp_path)
    assert open_at_once(requests) <= 8
    assert capped.metrics["ttft_p99_ms"] < free.metrics["ttft_p99_ms"]
    assert capped.metrics["duration_s"] > free.metrics["duration_s"]


@pytest.mark.parametrize(
    "load", ["concurrency workload.arrivals.concurrency=4", "poisson workload.arrivals.rate_rps=1"]
)
def test_a_turn_comes_after_the_answer_before_it_and_finds_its_prefix(load: str, tmp_path: Path) -> None:
    text = (
        f"{FIXED} workload.arrivals.kind={load} workload.sessions.turns=5 workload.arrivals.think_s=0.25 "
        "workload.sessions.shared_tokens=160 backend.enable_prefix_caching=true"
    )
    done, requests = run(text, tmp_path)
    times = RequestTimes.of(requests)
    arrival, end = times.arrival_s.reshape(-1, 5), times.last_token_s.reshape(-1, 5)
    np.testing.assert_allclose(arrival[:, 1:], end[:, :-1] + 0.25)
    prompts = times.input_tokens.reshape(-1, 5)
    assert prompts[0].tolist() == [160 + 256 + turn * (256 + 32) for turn in range(5)]
    # of turn k + 1 the full blocks of prompt k are cached, of a first turn those of the system prompt
    cached = prompts[:, :-1].sum() // 16 * 16 + 160 * (len(prompts) - 1)
    assert done.metrics["prefix_hit_share"] == pytest.approx(cached / prompts.sum(), rel=0.02)


def test_a_cut_closed_loop_counts_what_was_sent(tmp_path: Path) -> None:
    text = f"{USERS} workload.arrivals.concurrency=4 workload.duration_s=1 workload.drain=false"
    done, requests = run(text, tmp_path)
    statuses = requests["status"].to_pylist()
    assert statuses.count("running") + statuses.count("waiting") == 4
    assert statuses.count("not_arrived") == 200 - 4 - done.metrics["completed"]
    assert done.metrics["duration_s"] == 1


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("workload.arrivals.think_s=1", "workload.arrivals.think_s"),
        ("workload.arrivals.think_cv=1", "workload.arrivals.think_cv"),
        ("workload.arrivals.kind=concurrency", "workload.arrivals.concurrency"),
        ("workload.sessions.turns=0", "workload.sessions.turns"),
        (
            "workload.arrivals.kind=concurrency workload.arrivals.concurrency=4 workload.duration_s=9",
            "workload.duration_s",
        ),
    ],
)
def test_a_key_without_effect_is_refused_by_name(extra: str, key: str, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, AssertionError), match=key):
        run(f"{FIXED} {extra}", tmp_path)


@pytest.mark.slow
def test_validate_and_a_study_predict_the_same_closed_loop_to_the_last_digit(tmp_path: Path) -> None:
    table = Path(__file__).parent / "measured" / "published_fixture.csv"
    published = next(run.setup for run in read_published_runs(table)[0] if run.setup.run_id == "loop")
    loop = replace(published, model="llama-3.1-8b", weight_type="bf16", kv_type="", expert_type="")
    users, prompts, outputs = closed_loop_requests(loop, deployment_of(loop))
    sent = tmp_path / "sent.csv"
    lines = [f"{prompt},{tokens}" for prompt, tokens in zip(prompts, outputs, strict=True)]
    sent.write_text("\n".join(["input_tokens,output_tokens", *lines]) + "\n")
    _, requests = run(
        f"backend=twin model=llama-3.1-8b gpu=h100-80gb +gpu.count={loop.gpus} "
        f"backend.tensor_parallel={loop.tensor} backend.engine_version={loop.version} backend.physics=roofline "
        f"backend.front_end_s=0 workload=trace workload.file={sent} workload.columns.arrival=null "
        f"workload.arrivals.kind=concurrency workload.arrivals.concurrency={users}",
        tmp_path,
    )
    times = RequestTimes.of(requests)
    ttft_s, decode_s = times.ttft_s, times.last_token_s - times.first_token_s
    predicted = predict_published(loop, "roofline").values
    assert predicted["tpot_mean_ms"] == 1e3 * float(np.mean(decode_s / (outputs - 1)))
    assert predicted["ttft_mean_ms"] == 1e3 * (float(np.mean(ttft_s)) + engine_works()["v1"].front_end_s)
