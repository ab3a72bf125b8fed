"""The kernel's entry point: requests to replicas, and every replica to its end."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled, merged
from framework_twin.kernel.compiled.raw_memory import floats, replica_at, request_at, simulation_at
from framework_twin.kernel.engine import accept, advance, idle_until
from framework_twin.kernel.state import DONE, NONE
from framework_twin.kernel.structures.due_queue import first_due, first_due_s


@compiled
def run_replicas(simulation: int) -> int:
    """Run the simulation whose record is at an address; `DONE` unless a replica got stuck.

    Round robin deals requests in turn, so each replica runs to its end on its own (its arrivals are every `stride`-th
    request). Least load sends each arrival to the replica with the fewest requests running and waiting at that
    moment, so the replicas run from arrival to arrival. Where requests wait for others, so do replicas: the one that
    is furthest behind always runs next.
    """
    sim = simulation_at(simulation, 0)
    following = 0 if sim.least_load else sim.n_requests
    favourite = 0
    while True:
        until_s = math.inf
        item = NONE
        first = 0
        behind = sim.n_replicas
        if sim.linked:
            until_s, first, behind = _furthest_behind(sim)
            if until_s == math.inf and first == behind:
                return DONE
        elif following < sim.n_requests and floats(sim.arrival_s)[following] < sim.horizon_s:
            item = following
            following += 1
            until_s = floats(sim.arrival_s)[item]
        for number in range(first, behind):
            code = advance(sim, replica_at(sim.replicas, number), until_s)
            if code != DONE:
                return code
        if sim.linked and first == behind:
            item = first_due(sim)
        if item != NONE:
            favourite = _hand_over(sim, item, until_s, favourite)
        elif not sim.linked:
            return DONE


@merged
def _furthest_behind(sim: Any) -> tuple[float, int, int]:
    """Return until when to run which replica: (time, its number, the next number); none if a request comes first."""
    due_s = first_due_s(sim)
    behind = NONE
    now_s = math.inf
    for number in range(sim.n_replicas):
        replica = replica_at(sim.replicas, number)
        if replica.running + replica.waiting > 0 and not replica.horizon_reached and replica.time_s < now_s:
            behind = number
            now_s = replica.time_s
    if due_s <= now_s:
        return due_s, 0, 0
    if sim.n_replicas > 1:  # what ends on another replica can't bring a request before this
        due_s = min(due_s, now_s + sim.turnaround_s)
    return due_s, behind, behind + 1


@merged
def _hand_over(sim: Any, item: int, now_s: float, favourite: int) -> int:
    """Give a request to a replica: in turn, or to the one with the least load; return which one ties prefer next."""
    chosen = favourite
    least = sim.n_requests + 1
    if not sim.least_load:
        chosen = item % sim.n_replicas
        least = 0
    for turn in range(sim.n_replicas):
        number = (favourite + turn) % sim.n_replicas
        load = _load_seen(replica_at(sim.replicas, number), now_s)
        if load < least:
            least = load
            chosen = number
    request_at(sim.requests, item).replica = chosen
    replica = replica_at(sim.replicas, chosen)
    if replica.time_s < now_s:
        idle_until(sim, replica, now_s)
    accept(sim, replica, item)
    return int((chosen + 1) % sim.n_replicas)


@compiled
def _load_seen(replica: Any, now_s: float) -> int:
    """Requests at a replica as the router sees them: a step that ends later has finished none yet."""
    load = replica.running + replica.waiting
    if replica.time_s > now_s:
        load += replica.finished_last_step
    return int(load)
