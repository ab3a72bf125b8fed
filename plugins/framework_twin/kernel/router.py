"""The compiled entry point: requests to replicas, and every replica to its end."""

from __future__ import annotations

import math

from framework_twin.kernel.engine import DONE, accept, advance, idle_until
from framework_twin.kernel.jit import entry_point, inlined
from framework_twin.kernel.state import Tables


@entry_point
def run_replicas(tables: Tables) -> int:
    """Simulate every replica; 0 unless one got stuck.

    Round robin deals requests in turn, so each replica runs on its own (its arrivals are every `stride`-th request).
    Least load sends each arrival to the replica with the fewest requests running and waiting at that moment.
    """
    if tables.config.least_load:
        code = _route_by_load(tables)
        if code != DONE:
            return code
    for r in range(tables.config.replicas):
        code = advance(tables, r, math.inf)
        if code != DONE:
            return code
    return DONE


@inlined
def _route_by_load(tables: Tables) -> int:
    replicas = tables.config.replicas
    first = 0
    for item in range(tables.arrival_s.size):
        now_s = tables.arrival_s[item]
        if now_s >= tables.config.horizon_s:
            break
        chosen = first
        least = math.inf
        for turn in range(replicas):
            r = (first + turn) % replicas
            code = advance(tables, r, now_s)
            if code != DONE:
                return code
            load = _load_seen(tables, r, now_s)
            if load < least:
                least = load
                chosen = r
        first = (chosen + 1) % replicas
        tables.requests[item].replica = chosen
        replica = tables.replicas[chosen]
        if replica.time_s < now_s and replica.running == 0 and replica.waiting == 0:
            idle_until(tables, chosen, now_s)
        accept(tables, chosen, item)
    return DONE


@inlined
def _load_seen(tables: Tables, r: int, now_s: float) -> int:
    """Requests at a replica as the router sees them: a step that ends later has finished none yet."""
    replica = tables.replicas[r]
    load = replica.running + replica.waiting
    if replica.time_s > now_s:
        load += replica.finished_last_step
    return int(load)
