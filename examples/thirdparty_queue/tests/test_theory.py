from __future__ import annotations

import pytest
from framework_queue.theory import erlang_c_wait_s, predicted_wait


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_one_server_is_the_m_m_1_queue(load: float) -> None:
    assert erlang_c_wait_s(load, 1.0, 1) == pytest.approx(load / (1 - load))


def test_two_servers_with_a_load_of_one_make_a_third_wait() -> None:
    # C(2, 1) = 1/3 (closed form a^2 / (a^2 + ... ) of Kleinrock 3.5); W = C s / (c - a) = 1/3
    assert erlang_c_wait_s(1.0, 1.0, 2) == pytest.approx(1 / 3)


def test_more_servers_never_make_waits_longer() -> None:
    waits = [erlang_c_wait_s(8.0, 0.4, servers) for servers in range(4, 12)]
    assert waits == sorted(waits, reverse=True)


def test_servers_that_cannot_keep_up_have_no_mean_wait() -> None:
    with pytest.raises(ValueError, match="can't keep up"):
        erlang_c_wait_s(8.0, 0.4, 3)


@pytest.mark.parametrize(
    ("backend", "workload", "reason"),
    [
        (
            {"discipline": "sjf", "servers": 4},
            {"arrival_rate_hz": 8, "service_mean_s": 0.4},
            "order of arrival",
        ),
        (
            {"discipline": "fifo", "servers": 3},
            {"arrival_rate_hz": 8, "service_mean_s": 0.4},
            "can't keep up",
        ),
        ({"discipline": "fifo", "servers": 3}, {"service_mean_s": 0.4}, "'arrival_rate_hz'"),
    ],
)
def test_where_theory_does_not_apply_the_metric_is_absent_with_its_reason(
    backend: dict[str, object], workload: dict[str, object], reason: str
) -> None:
    metric = predicted_wait({"backend": backend, "workload": workload})
    assert metric.value is None
    assert metric.reason is not None
    assert reason in metric.reason
