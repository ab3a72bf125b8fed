"""Requests that wait for others: users who send one request after another, and sessions of several turns.

A heap holds what falls due, by time: the first request of a session (`n_requests` + its number), and what comes after
the end of a request (its number): the next turn, or else the next session of its user. Which session that is shows
only when it falls due, so that users take them in the order of time.
"""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import floats, int64s
from framework_twin.kernel.state import NONE


@compiled
def first_due_s(sim: Any) -> float:
    """Return when something falls due next (infinity: nothing before the horizon)."""
    entries = int64s(sim.due)
    due_s = math.inf
    if entries[0] > 0:
        due_s = floats(sim.due_s)[entries[1]]
    return due_s if due_s < sim.horizon_s else math.inf


@compiled
def first_due(sim: Any) -> int:
    """Take what falls due first; return the request that comes now, NONE if none does."""
    number = _pop(sim)
    due_s = floats(sim.due_s)[number]
    if number >= sim.n_requests:
        item = number - sim.n_requests
    else:
        item = int64s(sim.following)[number]
        if item == NONE:
            if sim.next_session == sim.n_sessions:
                return NONE
            item = int64s(sim.sessions)[sim.next_session]
            sim.next_session += 1
            if floats(sim.arrival_s)[item] > due_s:  # its user is free before it comes
                floats(sim.due_s)[sim.n_requests + item] = floats(sim.arrival_s)[item]
                _push(sim, sim.n_requests + item)
                return NONE
    floats(sim.arrival_s)[item] = due_s
    return int(item)


@compiled
def release(sim: Any, item: int, now_s: float) -> None:
    """Let fall due what waits for the end of a request, once its user has paused."""
    if int64s(sim.following)[item] != NONE or (sim.users > 0 and sim.next_session < sim.n_sessions):
        floats(sim.due_s)[item] = now_s + sim.turnaround_s + floats(sim.think_s)[item]
        _push(sim, item)


@compiled
def _push(sim: Any, number: int) -> None:
    entries = int64s(sim.due)
    entries[0] += 1
    place = entries[0]
    while place > 1 and _before(sim, number, entries[place >> 1]):
        entries[place] = entries[place >> 1]
        place >>= 1
    entries[place] = number


@compiled
def _pop(sim: Any) -> int:
    entries = int64s(sim.due)
    first = entries[1]
    last = entries[entries[0]]
    entries[0] -= 1
    size = entries[0]
    place = 1
    child = 2
    while child <= size:
        if child < size and _before(sim, entries[child + 1], entries[child]):
            child += 1
        if not _before(sim, entries[child], last):
            break
        entries[place] = entries[child]
        place = child
        child = 2 * place
    entries[place] = last
    return int(first)


@compiled
def _before(sim: Any, number: int, other: int) -> bool:
    """Order by time, then by number."""
    due_s = floats(sim.due_s)
    return bool(due_s[number] < due_s[other] or (due_s[number] == due_s[other] and number < other))
