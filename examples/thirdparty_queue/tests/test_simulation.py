from __future__ import annotations

import random

import pytest
from framework_queue.settings import Discipline
from framework_queue.simulation import service_starts

FIFO, SJF = Discipline.fifo, Discipline.sjf


def _load(seed: int) -> tuple[list[float], list[float]]:
    source = random.Random(seed)
    count = source.randint(1, 60)
    arrivals = sorted(source.uniform(0, 20) for _ in range(count))
    return arrivals, [source.expovariate(1) for _ in range(count)]


def test_a_free_server_serves_at_once() -> None:
    assert service_starts([0, 1, 2], [5, 5, 5], 3, FIFO) == [0, 1, 2]


def test_with_one_server_each_waits_for_those_before() -> None:
    assert service_starts([0, 1, 2], [5, 1, 1], 1, FIFO) == [0, 5, 6]


def test_the_shortest_of_those_who_wait_goes_first() -> None:
    assert service_starts([0, 1, 2], [5, 9, 1], 1, SJF) == [0, 6, 5]


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("discipline", [FIFO, SJF])
@pytest.mark.parametrize("servers", [1, 3])
def test_nobody_is_early_and_no_server_serves_two(seed: int, discipline: Discipline, servers: int) -> None:
    arrivals, services = _load(seed)
    starts = service_starts(arrivals, services, servers, discipline)
    assert all(start >= arrival for start, arrival in zip(starts, arrivals, strict=True))
    for moment in starts:
        busy = sum(s <= moment < s + service for s, service in zip(starts, services, strict=True))
        assert busy <= servers


@pytest.mark.parametrize("seed", range(25))
def test_no_server_idles_while_somebody_waits(seed: int) -> None:
    arrivals, services = _load(seed)
    starts = service_starts(arrivals, services, 2, SJF)
    for arrival, start in zip(arrivals, starts, strict=True):
        if start > arrival:
            busy = sum(s < start <= s + service + 1e-9 for s, service in zip(starts, services, strict=True))
            assert busy == 2
