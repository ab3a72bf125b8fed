"""LoRA adapters: slots in GPU memory and a cache in host memory, both least recently used.

An adapter of the running batch is never evicted; one that leaves the batch becomes the most recently used of the
others. Adapters that a step needs and finds resident are kept before any slot is given away.
"""

from __future__ import annotations

from framework_twin.kernel import linked_list
from framework_twin.kernel.jit import compiled, inlined
from framework_twin.kernel.state import Tables
from framework_twin.kernel.waiting_queue import close_queue, open_queue


@inlined
def is_base_model(tables: Tables, number: int) -> bool:
    """Tell whether a queue number stands for the base model."""
    return bool(number == tables.queues.shape[1] - 1)


@inlined
def take_adapter(tables: Tables, r: int, number: int) -> None:
    """Count a request of this adapter into the batch; its first one asks for a slot."""
    queue = tables.queues[r, number]
    if not is_base_model(tables, number) and queue.running == 0:
        replica = tables.replicas[r]
        open_queue(tables, r, number)
        replica.active_adapters += 1
        if queue.cached:
            linked_list.unlink(tables.cpu_lru[r], number)
        if queue.resident:
            linked_list.unlink(tables.gpu_lru[r], number)
        else:
            tables.pending_loads[r, replica.pending_loads] = number
            replica.pending_loads += 1
    queue.running += 1


@compiled
def release_adapter(tables: Tables, r: int, number: int) -> None:
    """Count a request of this adapter out of the batch; after its last one the adapter may be evicted."""
    queue = tables.queues[r, number]
    if not is_base_model(tables, number) and queue.running == 1:
        close_queue(tables, r, number)
        sentinel = tables.queues.shape[1]
        tables.replicas[r].active_adapters -= 1
        linked_list.append(tables.cpu_lru[r], sentinel, number)
        linked_list.append(tables.gpu_lru[r], sentinel, number)
    queue.running -= 1


@inlined
def load_adapters(tables: Tables, r: int) -> float:
    """Load what the step needs, one after another; return the seconds."""
    replica = tables.replicas[r]
    seconds = 0.0
    for place in range(replica.pending_loads):
        number = tables.pending_loads[r, place]
        queue = tables.queues[r, number]
        if not queue.cached:
            if replica.cached_adapters == tables.config.max_cpu_loras:
                _evict_from_host(tables, r)
            queue.cached = 1
            replica.cached_adapters += 1
            replica.disk_loads += 1
            seconds += tables.disk_to_cpu_s[number]
        if replica.resident_adapters == tables.config.max_loras:
            _evict_from_gpu(tables, r)
        queue.resident = 1
        queue.gpu_loads += 1
        replica.resident_adapters += 1
        replica.gpu_loads += 1
        seconds += tables.cpu_to_gpu_s[number]
    replica.pending_loads = 0
    return seconds


@compiled
def _evict_from_host(tables: Tables, r: int) -> None:
    replica = tables.replicas[r]
    victim = tables.cpu_lru[r, linked_list.NEXT, tables.queues.shape[1]]
    queue = tables.queues[r, victim]
    linked_list.unlink(tables.cpu_lru[r], victim)
    queue.cached = 0
    replica.cached_adapters -= 1
    if queue.resident:  # an engine keeps no slot for an adapter it no longer holds in host memory
        linked_list.unlink(tables.gpu_lru[r], victim)
        queue.resident = 0
        replica.resident_adapters -= 1


@compiled
def _evict_from_gpu(tables: Tables, r: int) -> None:
    replica = tables.replicas[r]
    victim = tables.gpu_lru[r, linked_list.NEXT, tables.queues.shape[1]]
    linked_list.unlink(tables.gpu_lru[r], victim)
    tables.queues[r, victim].resident = 0
    replica.resident_adapters -= 1
