"""Whole loads against the stub server: what is sent when, what is recorded, how a load ends."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest

from framework.contracts import Result, WorkloadTables
from framework_serving import tables
from framework_serving.metrics import serving_metrics as metrics
from framework_serving.metrics.sanity import check
from framework_vllm.client.load import run_load
from framework_vllm.client.load_contracts import (
    LoadError,
    LoadPlan,
    SaturationRule,
    Target,
    client_requests_schema,
)
from tests.framework_vllm.client.loads import Serve, Streaming, load, requests, statuses

STEADY = ("--ttft-ms", "20", "--itl-ms", "4")


@pytest.mark.slow
def test_open_loop_times_agree_with_the_servers_truth(serve: Serve) -> None:
    stub = serve(*STEADY)
    arrivals = np.arange(40) / 100
    outcome = load(requests(arrivals), stub)
    truth = stub.truth(outcome)
    assert statuses(outcome) == {"finished": 40}
    assert outcome.requests.schema == tables.requests_out()
    assert outcome.client_requests.schema == client_requests_schema()
    assert outcome.requests["arrival_s"].to_pylist() == pytest.approx(arrivals)
    first, last = outcome.requests["first_token_s"].to_numpy(), outcome.requests["last_token_s"].to_numpy()
    offsets = outcome.client_requests["token_times_s"].to_pylist()
    for request, seen in truth.items():
        assert first[request] - seen[1] >= 0
        assert last[request] - seen[-1] >= 0
        assert len(offsets[request]) == len(seen) - 1 == 6
    late_ms = 1e3 * np.array([first[request] - seen[1] for request, seen in truth.items()])
    assert np.median(late_ms) < 100  # 0.01 on an idle machine; the point is the right clock
    sent = outcome.client_requests["sent_s"].to_numpy()
    assert (sent >= arrivals).all()
    assert outcome.client_requests["lag_s"].to_numpy() == pytest.approx(sent - arrivals)


def test_tokens_and_usage_are_counted_per_request(serve: Serve) -> None:
    table = requests([0.0] * 8, inputs=11, outputs=5)
    outcome = load(table, serve(*STEADY))
    assert outcome.requests["output_tokens"].to_pylist() == [5] * 8
    assert outcome.client_requests["completion_tokens"].to_pylist() == [5] * 8
    assert outcome.client_requests["prompt_tokens"].to_pylist() == [11] * 8
    checks = check(WorkloadTables({"requests": table}, ""), Result(tables={"requests": outcome.requests}))
    assert {finding.verdict for finding in checks} == {"pass"}


def test_inter_token_latency_is_that_of_all_gaps(serve: Serve) -> None:
    outcome = load(requests([0.0, 0.1, 0.2], outputs=20), serve(*STEADY))
    itl = {metric.name: metric.value for metric in outcome.metrics}
    gaps = np.concatenate([np.diff(times) for times in outcome.client_requests["token_times_s"].to_pylist()])
    assert set(itl) == {"itl_mean_ms", "itl_p50_ms", "itl_p90_ms", "itl_p95_ms", "itl_p99_ms"}
    assert itl["itl_mean_ms"] == pytest.approx(1e3 * gaps.mean(), rel=1e-4)
    assert itl["itl_p90_ms"] == pytest.approx(1e3 * np.percentile(gaps, 90), rel=1e-3)
    assert itl["itl_mean_ms"] > 3.9


@pytest.mark.slow
def test_a_cut_run_tells_running_from_waiting_from_not_arrived(serve: Serve) -> None:
    stub = serve("--ttft-ms", "20", "--itl-ms", "50", "--capacity", "2")
    outcome = load(requests([0.0, 0.0, 0.1, 0.1, 5.0], outputs=100), stub, horizon_s=0.5)
    assert outcome.requests["status"].to_pylist() == [
        "running",
        "running",
        "waiting",
        "waiting",
        "not_arrived",
    ]
    assert outcome.duration_s == 0.5
    tokens = outcome.requests["output_tokens"].to_pylist()
    assert 1 <= tokens[0] <= 10
    assert tokens[2:] == [0, 0, 0]
    assert outcome.requests["first_token_s"].null_count == 3
    assert outcome.client_requests["sent_s"].null_count == 1


def test_a_run_over_before_its_horizon_lasts_until_its_last_token(serve: Serve) -> None:
    outcome = load(requests([0.0, 0.05]), serve(*STEADY), horizon_s=5.0)
    assert statuses(outcome) == {"finished": 2}
    assert outcome.duration_s == pytest.approx(max(outcome.requests["last_token_s"].to_pylist()))


def test_a_closed_loop_keeps_so_many_open_and_arrivals_are_when_a_slot_was_free(serve: Serve) -> None:
    outcome = load(requests([0.0] * 30), serve(*STEADY), concurrency=4)
    assert statuses(outcome) == {"finished": 30}
    start, end = outcome.requests["arrival_s"].to_numpy(), outcome.requests["last_token_s"].to_numpy()
    events = sorted([(time_s, -1) for time_s in end] + [(time_s, 1) for time_s in start])
    assert np.cumsum([change for _, change in events]).max() == 4
    assert start[:4].tolist() == [0.0] * 4
    assert (start[4:] > 0).all()


@pytest.mark.slow
def test_turns_of_a_session_wait_for_the_answer_and_its_reader(serve: Serve) -> None:
    table = requests([0.0] * 12)
    follows = pa.array([None if row % 3 == 0 else row - 1 for row in range(12)], pa.int64())
    table = table.append_column("follows", follows).append_column("think_s", [np.full(12, 0.05)])
    outcome = load(table, serve(*STEADY), concurrency=2)
    assert (statuses(outcome), outcome.facts["client_processes"]) == ({"finished": 12}, 1)
    start, end = outcome.requests["arrival_s"].to_numpy(), outcome.requests["last_token_s"].to_numpy()
    turns = np.flatnonzero(np.arange(12) % 3)
    assert start[turns] == pytest.approx(end[turns - 1] + 0.05, abs=1e-6)
    events = sorted([(time_s, -1) for time_s in end] + [(time_s, 1) for time_s in start])
    assert np.cumsum([change for _, change in events]).max() == 2


def test_a_refused_turn_does_not_end_its_session(serve: Serve) -> None:
    table = requests([0.0] * 3).append_column("follows", pa.array([None, 0, 1], pa.int64()))
    outcome = load(table, serve(*STEADY), extra_body={"stub": "http_400"})
    assert outcome.requests["status"].to_pylist() == ["refused"] * 3
    assert np.isfinite(outcome.client_requests["sent_s"].to_numpy()).all()


@pytest.mark.slow
def test_several_processes_share_the_load_and_their_clock(serve: Serve) -> None:
    stub = serve(*STEADY)
    outcome = load(requests(np.arange(30) / 100), stub, processes=3)
    assert (statuses(outcome), outcome.facts["client_processes"]) == ({"finished": 30}, 3)
    truth = stub.truth(outcome)
    received = np.array([truth[request][0] for request in range(30)])
    assert (received - np.arange(30) / 100 > -1e-3).all()
    assert np.median(received - np.arange(30) / 100) < 0.2


def test_targets_take_turns(serve: Serve) -> None:
    stubs = serve(*STEADY), serve("--ttft-ms", "20", "--itl-ms", "5")
    outcome = load(requests([0.0] * 10), *stubs, processes=2)
    assert outcome.client_requests["target"].to_pylist() == [0, 1] * 5
    assert [len(stub.truth(outcome)) for stub in stubs] == [5, 5]


@pytest.mark.slow
def test_least_load_leaves_a_stuck_server_alone(serve: Serve) -> None:
    stuck, quick = serve("--ttft-ms", "800"), serve(*STEADY)
    outcome = load(requests(np.arange(20) / 20, outputs=1), stuck, quick, routing="least_load")
    targets = outcome.client_requests["target"].to_pylist()
    assert statuses(outcome) == {"finished": 20}
    assert targets.count(0) <= 4


def test_adapters_are_asked_for_by_name(serve: Serve) -> None:
    table = requests([0.0] * 3, adapters=[None, 0, 1])
    outcome = load(table, serve(*STEADY), adapter_names={0: "a", 1: "b"})
    assert outcome.requests["adapter_id"].to_pylist() == [None, 0, 1]
    with pytest.raises(LoadError, match=r"adapter 1 has no served name"):
        load(table, serve(*STEADY), adapter_names={0: "a"})


@pytest.mark.slow
def test_the_warm_up_is_in_no_result(serve: Serve) -> None:
    stub = serve("--ttft-ms", "1", "--itl-ms", "1")
    table = requests([0.0] * 4, adapters=[0, 1, 0, 1])
    outcome = load(table, stub, adapter_names={0: "a", 1: "b"}, warmup_requests=1)
    assert outcome.requests.num_rows == outcome.client_requests.num_rows == 4
    assert len(stub.truth(outcome)) == 4
    assert outcome.facts["client_dialect"] == "vllm"


def test_a_warm_up_that_fails_is_the_loads_error(serve: Serve) -> None:
    with pytest.raises(LoadError, match=r"^warm-up: HTTP 500: engine died$"):
        load(requests([0.0]), serve(*STEADY), warmup_requests=1, extra_body={"stub": "http_500"})


@pytest.mark.slow
def test_a_server_that_knows_fewer_keys_is_asked_with_fewer(serve: Serve) -> None:
    outcome = load(requests([0.0]), serve(*STEADY), warmup_requests=1, extra_body={"stub": "strict"})
    assert (outcome.facts["client_dialect"], statuses(outcome)) == ("openai", {"finished": 1})


def test_a_cause_ends_the_load_at_once_and_is_the_error_of_what_was_open(serve: Serve) -> None:
    stub = serve("--ttft-ms", "20", "--itl-ms", "500")
    start, streaming = time.monotonic(), Streaming(2)

    def died() -> str | None:
        return "engine 0 ended with signal 9" if streaming.begun else None

    outcome = load(requests([0.0, 0.0, 60.0], outputs=1000), stub, should_stop=died, progress=streaming)
    assert outcome.requests["status"].to_pylist() == ["failed", "failed", "not_arrived"]
    assert outcome.requests["error"].to_pylist() == ["engine 0 ended with signal 9"] * 2 + [None]
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_a_load_beyond_capacity_stops_early_and_says_why(serve: Serve) -> None:
    stub = serve("--ttft-ms", "50", "--itl-ms", "0", "--capacity", "2")  # 40 requests/s
    rule = SaturationRule(window_s=1.5, warmup_s=0.5, bins=10)
    outcome = load(requests(np.arange(6000) / 100, outputs=1), stub, saturation=rule)
    assert outcome.facts["saturated"] is True
    assert outcome.facts["saturated_at_s"] == outcome.duration_s < 30
    assert (
        0.4 < outcome.facts["saturation_ttft_s_per_s"] < 1
    )  # 1 - 40/100, and a slower server on a busy machine
    assert outcome.facts["saturation_queue_per_s"] > 40
    assert {"finished", "waiting", "not_arrived"} <= set(statuses(outcome))


@pytest.mark.slow
def test_goodput_counts_the_requests_of_a_load_that_met_their_objectives(serve: Serve) -> None:
    stub = serve("--ttft-ms", "200", "--itl-ms", "1", "--capacity", "1")
    table = requests([0.0] * 4)
    outcome = load(table, stub)
    result = Result(outcome.metrics, {"requests": outcome.requests}, {"duration_s": outcome.duration_s})
    found = metrics.derive(
        {"workload": {"slo": {"ttft_ms": 500}}}, WorkloadTables({"requests": table}, ""), result
    )
    goodput = next(metric.value for metric in found if metric.name == "goodput_requests_s")
    good = sum(time_s <= 0.5 for time_s in outcome.requests["first_token_s"].to_pylist())
    assert 1 <= good <= 3  # they are served one after another, 205 ms each
    assert goodput == pytest.approx(good / outcome.duration_s)


def test_lag_is_that_of_the_first_attempt(serve: Serve) -> None:
    outcome = load(requests([0.0]), serve(*STEADY), retries=1, extra_body={"stub": "busy_once"})
    row = outcome.client_requests.to_pylist()[0]
    assert (row["attempts"], outcome.facts["client_retries"]) == (2, 1)
    assert row["lag_s"] <= row["sent_s"]
    assert outcome.facts["client_lag_max_ms"] == pytest.approx(1e3 * row["lag_s"])


def session(follows: int) -> pa.Table:
    return requests([0.0, 0.0]).append_column(
        "follows", pa.array([None, follows if follows > 1 else 0], pa.int64())
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"targets": ()}, "no target"),
        ({"targets": (Target("localhost:80", "m"),)}, "target 'localhost:80': write it as http://host:port"),
        ({"targets": (Target("http://h:x", "m"),)}, "target 'http://h:x': Port could not be cast"),
        ({"targets": (Target("http://127.0.0.1:9", "m", {"A": "b\r\nC: d"}),)}, "header 'A' can't be sent"),
        ({"extra_body": {"prompt": "x"}}, "extra body key 'prompt' is set by the client itself"),
        ({"extra_body": {"x": object()}}, "extra body keys can't be written as JSON"),
        ({"concurrency": 0}, "concurrency is 0, at least 1 is needed"),
        ({"horizon_s": 0.0}, "horizon_s is 0.0, more than 0 is needed"),
        ({"vocabulary": range(0)}, "must be a range with at least one token id"),
        ({"requests": requests([])}, "no requests to send"),
        ({"requests": requests([1.0, 0.5])}, "arrival_s must be finite, at least 0 and in ascending order"),
        ({"requests": requests([0.0], outputs=0)}, "row 0 has output_tokens below 1"),
        ({"requests": session(1), "processes": 2}, "one process sends all turns"),
        ({"requests": session(5)}, "row 1 follows 5"),
    ],
)
def test_a_plan_that_can_not_be_is_refused_before_anything_is_sent(
    keys: dict[str, object], message: str
) -> None:
    plan = {
        "requests": requests([0.0]),
        "targets": (Target("http://127.0.0.1:9", "m"),),
        "vocabulary": range(9),
    }
    with pytest.raises(LoadError) as caught:
        run_load(LoadPlan(**{"seed": 0, **plan, **keys}), lambda fraction, text: None, lambda: None)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_prefix_blocks_need_their_size() -> None:
    table = requests([0.0]).append_column("prefix_block_hashes", pa.array([[1]], pa.list_(pa.int64())))
    plan = LoadPlan(table, (Target("http://127.0.0.1:9", "m"),), range(9), 0)
    with pytest.raises(LoadError, match="prefix_block_tokens"):
        run_load(plan, lambda fraction, text: None, lambda: None)
