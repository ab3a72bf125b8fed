"""The compiled entry point: requests to replicas, and every replica to its end."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.engine import DONE, accept, advance, idle_until
from framework_twin.kernel.jit import compiled, entry_point
from framework_twin.kernel.memory import floats
from framework_twin.kernel.state import replica_at, request_at


@entry_point
def run_replicas(sim: Any) -> int:
    """Simulate every replica; 0 unless one got stuck.

    Round robin deals requests in turn, so each replica runs on its own (its arrivals are every `stride`-th request).
    Least load sends each arrival to the replica with the fewest requests running and waiting at that moment.
    """
    if sim.least_load:
        code = _route_by_load(sim)
        if code != DONE:
            return code
    for number in range(sim.n_replicas):
        code = advance(sim, replica_at(sim.replicas, number), math.inf)
        if code != DONE:
            return code
    return DONE


@compiled
def _route_by_load(sim: Any) -> int:
    first = 0
    for item in range(sim.n_requests):
        now_s = floats(sim.arrival_s)[item]
        if now_s >= sim.horizon_s:
            break
        chosen = first
        least = sim.n_requests + 1
        for turn in range(sim.n_replicas):
            number = (first + turn) % sim.n_replicas
            replica = replica_at(sim.replicas, number)
            code = advance(sim, replica, now_s)
            if code != DONE:
                return code
            load = _load_seen(replica, now_s)
            if load < least:
                least = load
                chosen = number
        first = (chosen + 1) % sim.n_replicas
        request_at(sim.requests, item).replica = chosen
        replica = replica_at(sim.replicas, chosen)
        if replica.time_s < now_s and replica.running == 0 and replica.waiting == 0:
            idle_until(replica, now_s)
        accept(sim, replica, item)
    return DONE


@compiled
def _load_seen(replica: Any, now_s: float) -> int:
    """Requests at a replica as the router sees them: a step that ends later has finished none yet."""
    load = replica.running + replica.waiting
    if replica.time_s > now_s:
        load += replica.finished_last_step
    return int(load)
