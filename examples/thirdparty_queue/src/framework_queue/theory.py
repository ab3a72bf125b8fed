"""Erlang C: the mean wait of a queue with Poisson arrivals, exponential service and several servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.contracts import Json, Metric, Slider, WhatIf
from framework.errors import ConfigError
from framework.quantity import Quantity


def erlang_c_wait_s(arrival_rate_hz: float, service_mean_s: float, servers: int) -> float:
    """Return the mean wait (s) of an M/M/c queue.

    Source: A. K. Erlang (1917); in this form L. Kleinrock, Queueing Systems I (1975), section 3.5.

    Raises:
        ValueError: the servers can't keep up, so that there is no mean.
    """
    load = arrival_rate_hz * service_mean_s
    if load >= servers:
        raise ValueError(f"{servers} servers can't keep up with a load of {load:g}")
    blocked = 1.0  # Erlang B, by its recursion over servers
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    must_wait = blocked / (1 - load / servers * (1 - blocked))
    return must_wait * service_mean_s / (servers - load)


def predicted_wait(config: Mapping[str, Any]) -> Metric:
    """Return `wait_theory_s` of a run's configuration; absent, with its reason, where theory does not apply."""
    name, unit, source = "wait_theory_s", "s", "erlang-c"
    workload, backend = config.get("workload", {}), config.get("backend", {})
    if backend.get("discipline") != "fifo":
        return Metric.absent(name, "Erlang C is about queues served in order of arrival", unit, source)
    try:
        rate, service = float(workload["arrival_rate_hz"]), float(workload["service_mean_s"])
        return Metric(name, erlang_c_wait_s(rate, service, int(backend["servers"])), unit, source)
    except KeyError as missing:
        return Metric.absent(name, f"the workload has no {missing}", unit, source)
    except ValueError as error:
        return Metric.absent(name, str(error), unit, source)


def wait_question() -> WhatIf:
    """Return the question of the dashboard: the mean wait for a number of servers and a load."""

    def answer(values: Mapping[str, Json]) -> list[str]:
        servers = int(values["servers"])
        try:
            wait_s = erlang_c_wait_s(
                float(values["arrival_rate_hz"]), float(values["service_mean_s"]), servers
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return [f"Visitors wait {wait_s:.3g} s on average for one of {servers} servers."]

    controls = (
        Slider("servers", "servers", (1, 2, 3, 4, 6, 8, 12, 16), 4),
        Slider("arrival_rate_hz", "visitors", (0.5, 1, 2, 4, 8, 16), 8, "1/s"),
        Slider("service_mean_s", "mean service time", (0.1, 0.2, 0.4, 0.8), 0.4, "s"),
    )
    return WhatIf("queue", "A queue", "How long do visitors wait? Erlang C answers.", controls, answer)


def expected_waits(metric: str, configs: Sequence[Mapping[str, Any]]) -> list[Quantity | None]:
    """Return what Erlang C says of `wait_mean_s` for configurations; None where it says nothing."""
    found: list[Quantity | None] = []
    for config in configs:
        wait = predicted_wait(config).value if metric == "wait_mean_s" else None
        found.append(None if wait is None else Quantity(wait))
    return found
