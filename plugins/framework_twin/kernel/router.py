"""The kernel's entry point: requests to replicas, and every replica to its end."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled, merged
from framework_twin.kernel.compiled.raw_memory import floats, replica_at, request_at, simulation_at
from framework_twin.kernel.engine import accept, advance, idle_until
from framework_twin.kernel.state import DONE


@compiled
def run_replicas(simulation: int) -> int:
    """Run the simulation whose record is at an address; `DONE` unless a replica got stuck.

    Round robin deals requests in turn, so each replica runs to its end on its own (its arrivals are every `stride`-th
    request). Least load sends each arrival to the replica with the fewest requests running and waiting at that
    moment, so the replicas run from arrival to arrival.
    """
    sim = simulation_at(simulation, 0)
    item = 0 if sim.least_load else sim.n_requests
    favourite = 0
    while True:
        until_s = math.inf
        if item < sim.n_requests and floats(sim.arrival_s)[item] < sim.horizon_s:
            until_s = floats(sim.arrival_s)[item]
        for number in range(sim.n_replicas):
            code = advance(sim, replica_at(sim.replicas, number), until_s)
            if code != DONE:
                return code
        if until_s == math.inf:
            return DONE
        favourite = _hand_over(sim, item, until_s, favourite)
        item += 1


@merged
def _hand_over(sim: Any, item: int, now_s: float, favourite: int) -> int:
    """Give a request to the replica with the least load; return the replica that ties prefer next."""
    chosen = favourite
    least = sim.n_requests + 1
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
