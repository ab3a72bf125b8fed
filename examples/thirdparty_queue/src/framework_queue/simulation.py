"""A queue with several servers, event by event. Pure: numbers in, numbers out."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from framework_queue.settings import Discipline


def service_starts(
    arrival_s: Sequence[float], service_s: Sequence[float], servers: int, discipline: Discipline
) -> list[float]:
    """Return when each customer's service starts (s), in the order of the customers.

    Args:
        arrival_s: non-decreasing arrival times.
        service_s: service times, in the same order.
        servers: identical servers; a service is never interrupted.
        discipline: who is served next of those who wait.
    """
    starts = [0.0] * len(arrival_s)
    free_at = [0.0] * servers  # a heap
    waiting: list[tuple[float, int]] = []  # a heap of (rank, customer)
    arrived = 0
    for _ in starts:
        now = free_at[0]
        if not waiting:
            now = max(now, arrival_s[arrived])
        while arrived < len(starts) and arrival_s[arrived] <= now:
            rank = arrival_s[arrived] if discipline is Discipline.fifo else service_s[arrived]
            heapq.heappush(waiting, (rank, arrived))
            arrived += 1
        _, customer = heapq.heappop(waiting)
        starts[customer] = now
        heapq.heapreplace(free_at, now + service_s[customer])
    return starts
