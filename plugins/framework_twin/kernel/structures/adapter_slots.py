"""LoRA adapters: slots in GPU memory and a cache in host memory, both least recently used.

An adapter of the running batch is never evicted; one that leaves the batch becomes the most recently used of the
others. Adapters that a step needs and finds resident are kept before any slot is given away.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import floats, int64s, queue_at
from framework_twin.kernel.structures import linked_list
from framework_twin.kernel.structures.waiting_queue import move_queue


@compiled
def take_adapter(sim: Any, replica: Any, number: int) -> None:
    """Count a request of this adapter into the batch; its first one asks for a slot."""
    queue = queue_at(replica.queues, number)
    if number != sim.n_adapters and queue.running == 0:
        move_queue(sim, replica, number, replica.closed_heap, replica.open_heap)
        replica.active_adapters += 1
        if queue.cached:
            linked_list.unlink(replica.cpu_lru, number)
        if queue.resident:
            linked_list.unlink(replica.gpu_lru, number)
        else:
            int64s(replica.pending_loads)[replica.n_pending_loads] = number
            replica.n_pending_loads += 1
    queue.running += 1


@compiled
def release_adapter(sim: Any, replica: Any, number: int) -> None:
    """Count a request of this adapter out of the batch; after its last one the adapter may be evicted."""
    queue = queue_at(replica.queues, number)
    if number != sim.n_adapters and queue.running == 1:
        move_queue(sim, replica, number, replica.open_heap, replica.closed_heap)
        replica.active_adapters -= 1
        linked_list.append(replica.cpu_lru, sim.n_adapters, number)
        linked_list.append(replica.gpu_lru, sim.n_adapters, number)
    queue.running -= 1


@compiled
def load_adapters(sim: Any, replica: Any) -> float:
    """Load what the step needs, one after another; return the seconds."""
    seconds = 0.0
    for place in range(replica.n_pending_loads):
        number = int64s(replica.pending_loads)[place]
        queue = queue_at(replica.queues, number)
        if not queue.cached:
            if replica.cached_adapters == sim.max_cpu_loras:
                _evict_from_host(sim, replica)
            queue.cached = 1
            replica.cached_adapters += 1
            replica.disk_loads += 1
            seconds += floats(sim.disk_to_cpu_s)[number]
        if replica.resident_adapters == sim.max_loras:
            _evict_from_gpu(sim, replica)
        queue.resident = 1
        queue.gpu_loads += 1
        replica.resident_adapters += 1
        replica.gpu_loads += 1
        seconds += floats(sim.cpu_to_gpu_s)[number]
    replica.n_pending_loads = 0
    return seconds


@compiled
def _evict_from_host(sim: Any, replica: Any) -> None:
    victim = linked_list.first(replica.cpu_lru, sim.n_adapters)
    queue = queue_at(replica.queues, victim)
    linked_list.unlink(replica.cpu_lru, victim)
    queue.cached = 0
    replica.cached_adapters -= 1
    if queue.resident:  # an engine keeps no slot for an adapter it no longer holds in host memory
        linked_list.unlink(replica.gpu_lru, victim)
        queue.resident = 0
        replica.resident_adapters -= 1


@compiled
def _evict_from_gpu(sim: Any, replica: Any) -> None:
    victim = linked_list.first(replica.gpu_lru, sim.n_adapters)
    linked_list.unlink(replica.gpu_lru, victim)
    queue_at(replica.queues, victim).resident = 0
    replica.resident_adapters -= 1
