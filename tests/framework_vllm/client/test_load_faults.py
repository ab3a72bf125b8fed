"""Servers that misbehave: each fault is the error of the requests it hit, and of no other."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest

from framework_vllm.client.load_contracts import Target
from tests.framework_vllm.client.loads import Serve, Streaming, Stub, load, requests, statuses

PACE = ("--ttft-ms", "2", "--itl-ms", "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("http_500", "failed", "HTTP 500: engine died"),
        ("http_400", "refused", "HTTP 400: This model's maximum context length is 16 tokens"),
        ("busy", "failed", "HTTP 429: try later"),
        (
            "half_stream",
            "failed",
            "the server closed the connection in the middle of the stream, after 3 tokens",
        ),
        ("reset", "failed", "connection reset by the server after 3 tokens"),
        ("hang_up", "failed", "the server closed the connection before it answered"),
        ("stall", "failed", "no complete answer within 0.5 s (3 tokens received)"),
        ("malformed", "failed", 'malformed event: {"choices":[{"text":"'),
        ("error_event", "failed", "error in the stream: EngineCore died"),
        ("no_end", "failed", "the stream ended after 3 tokens without a finish reason or [DONE]"),
        ("garbage", "failed", "not an HTTP/1.1 answer:"),
        ("not_streamed", "failed", 'the server did not stream its answer: {"choices":[{"text":"a"}]}'),
    ],
)
def test_a_fault_is_the_error_of_its_request(serve: Serve, fault: str, status: str, error: str) -> None:
    outcome = load(requests([0.0, 0.01]), serve(*PACE), extra_body={"stub": fault}, request_timeout_s=0.5)
    assert outcome.requests["status"].to_pylist() == [status] * 2
    for text in outcome.requests["error"].to_pylist():
        assert text.startswith(error)
    attempts = (
        2 if fault == "hang_up" else 1
    )  # an idle connection that closes may only have been tired of waiting
    assert outcome.client_requests["attempts"].to_pylist() == [attempts] * 2


@pytest.mark.parametrize("manner", ["slow_head", "bytewise", "at_once", "multi_token", "crlf", "close_after"])
def test_an_unusual_manner_of_sending_changes_no_count(serve: Serve, manner: str) -> None:
    outcome = load(requests([0.0, 0.0, 0.05]), serve(*PACE), extra_body={"stub": manner})
    assert statuses(outcome) == {"finished": 3}
    assert outcome.client_requests["completion_tokens"].to_pylist() == [6, 6, 6]
    assert outcome.requests["output_tokens"].to_pylist() == [6, 6, 6]
    assert [len(times) for times in outcome.client_requests["token_times_s"].to_pylist()] == [6, 6, 6]


@pytest.mark.slow
def test_tokens_of_one_event_have_no_time_between_them(serve: Serve) -> None:
    slow = ("--ttft-ms", "2", "--itl-ms", "500")  # so far apart that no busy machine reads two events at once
    outcome = load(requests([0.0]), serve(*slow), extra_body={"stub": "multi_token"})
    times = outcome.client_requests["token_times_s"].to_pylist()[0]
    assert times[:3] == [0.0] * 3
    assert times[3] == times[4] == times[5] > 0
    assert outcome.facts["tokens_per_event"] == 3.0


@pytest.mark.parametrize("manner", ["no_ids", "text_only"])
def test_events_that_add_up_to_the_tokens_asked_for_or_used_held_one_each(serve: Serve, manner: str) -> None:
    outcome = load(requests([0.0]), serve(*PACE), extra_body={"stub": manner})
    assert outcome.requests["output_tokens"].to_pylist() == [6]
    assert [len(times) for times in outcome.client_requests["token_times_s"].to_pylist()] == [6]
    assert {metric.name for metric in outcome.metrics if metric.value is not None} >= {
        "itl_mean_ms",
        "itl_p99_ms",
    }


def test_events_of_unknown_size_leave_the_count_to_the_usage_and_have_no_token_times(serve: Serve) -> None:
    outcome = load(requests([0.0]), serve(*PACE), extra_body={"stub": "no_ids_two_an_event"})
    assert outcome.requests["output_tokens"].to_pylist() == [6]
    assert outcome.facts["tokens_per_event"] == 2.0
    assert outcome.client_requests["token_times_s"].to_pylist() == [None]
    reasons = {metric.name: metric.reason for metric in outcome.metrics}
    assert set(reasons) == {"itl_p50_ms", "itl_p90_ms", "itl_p95_ms", "itl_p99_ms"}
    assert set(reasons.values()) == {"the server does not report the number of tokens in an event"}


def test_a_connection_closed_while_idle_costs_a_new_one_and_no_request(serve: Serve) -> None:
    outcome = load(requests([0.0] * 12), serve(*PACE), concurrency=2, extra_body={"stub": "close_after"})
    assert statuses(outcome) == {"finished": 12}
    assert outcome.facts["client_connections"] >= 6


@pytest.mark.slow
def test_a_busy_server_is_asked_again_as_often_as_allowed(serve: Serve) -> None:
    once = load(requests([0.0]), serve(*PACE), retries=2, extra_body={"stub": "busy_once"})
    assert (statuses(once), once.facts["client_retries"]) == ({"finished": 1}, 1)
    never = load(requests([0.0]), serve(*PACE), retries=2, extra_body={"stub": "busy"})
    assert never.client_requests["attempts"].to_pylist() == [3]
    assert never.requests["error"].to_pylist() == ["HTTP 429: try later"]


def test_a_server_that_is_not_there_refuses_each_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    class Nobody:
        target = Target(f"http://127.0.0.1:{port}", "m")

    outcome = load(requests([0.0, 0.1]), Nobody(), retries=1)  # type: ignore[arg-type]
    assert outcome.requests["error"].to_pylist() == ["connection refused"] * 2
    assert outcome.client_requests["attempts"].to_pylist() == [2, 2]
    assert outcome.client_requests["sent_s"].null_count == 2
    assert "client_lag_p99_ms" not in outcome.facts


@pytest.mark.slow
def test_a_server_killed_in_the_middle_fails_what_was_open() -> None:
    stub = Stub("--ttft-ms", "5", "--itl-ms", "20")
    streaming = Streaming(4)

    def kill() -> str | None:
        if streaming.begun:
            stub.process.kill()
        return None

    try:
        outcome = load(requests([0.0] * 4 + [3.0], outputs=1000), stub, should_stop=kill, progress=streaming)
    finally:
        stub.end()
    assert statuses(outcome) == {"failed": 5}
    errors = outcome.requests["error"].to_pylist()
    assert all(
        "in the middle of the stream, after" in e or "reset by the server after" in e for e in errors[:4]
    )
    assert errors[4] == "connection refused"
    assert all(tokens > 0 for tokens in outcome.requests["output_tokens"].to_pylist()[:4])


@pytest.mark.slow
def test_a_client_process_that_dies_loses_its_own_open_requests_alone(serve: Serve) -> None:
    stub = serve("--ttft-ms", "5", "--itl-ms", "20")
    killed: list[int] = []

    def kill_one() -> str | None:
        if not killed and streaming.begun:
            killed.append(_client_processes()[0])
            os.kill(killed[0], signal.SIGKILL)
        return None

    streaming = Streaming(8)
    outcome = load(
        requests([0.0] * 8, outputs=100), stub, processes=2, should_stop=kill_one, progress=streaming
    )
    assert killed
    assert sorted(statuses(outcome).items()) == [("failed", 4), ("finished", 4)]
    errors = set(outcome.requests["error"].to_pylist())
    assert errors == {None, "the client process of this request ended: signal 9"}
    partial = [row for row in outcome.requests.to_pylist() if row["status"] == "failed"]
    assert all(0 < row["output_tokens"] < 100 for row in partial)


def _client_processes() -> list[int]:
    """Load processes that this test process started."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                with open(f"/proc/{entry}/stat") as stat, open(f"/proc/{entry}/cmdline") as command:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    if parent == os.getpid() and "load_process" in command.read():
                        found.append(int(entry))
    return found


def test_a_load_leaves_no_process_behind(serve: Serve) -> None:
    load(requests([0.0]), serve(*PACE))
    assert _client_processes() == []
