"""LoRA adapters: slots in GPU memory and a cache in host memory, both least recently used.

A step goes through the adapters of its batch in one order, always the same (`inputs.slot_order`). One that has a slot
becomes the most recently used; one that has none takes the slot of the least recently used. This can be an adapter of
the same batch that comes later: it is then loaded again, into the slot of the next one, and so on until a slot is
found whose adapter is not needed. With every slot taken, a new adapter costs 1/2 + slots/6 loads on average where
the one that made room left in the step before, and one load where it left earlier. vLLM does so
(`LRUCacheWorkerLoRAManager._apply_adapters`); its runs with 32 slots load 2.8 to 4.2 adapters for each request.

In host memory an adapter of the running batch is never evicted; one that leaves the batch becomes the most recently
used of the others.
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
        int64s(replica.joined)[replica.n_joined] = number
        replica.n_joined += 1
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
        queue.listed = 1
        queue.touched = replica.steps
    queue.running -= 1


@compiled
def load_adapters(sim: Any, replica: Any) -> float:
    """Load what the step needs, one after another; return the seconds."""
    missing = 0
    for place in range(replica.n_joined):
        missing += 1 - queue_at(replica.queues, int64s(replica.joined)[place]).resident
    if missing == 0 or sim.touches_first:
        for place in range(replica.n_joined):
            number = int64s(replica.joined)[place]
            if queue_at(replica.queues, number).resident:
                _touch(replica, number)
    replica.n_joined = 0
    if missing == 0:
        return 0.0
    replica.touch_cursor = 0
    seconds = 0.0
    for place in range(sim.n_adapters):
        number = int64s(sim.touch_order)[place]
        queue = queue_at(replica.queues, number)
        if queue.running > 0:
            if queue.resident:
                _touch(replica, number)
            else:
                seconds += _load(sim, replica, number)
    return seconds


@compiled
def _touch(replica: Any, number: int) -> None:
    """Make an adapter the most recently used of the slots: it is in the batch of the step to come."""
    queue = queue_at(replica.queues, number)
    queue.touched = replica.steps + 1
    if queue.listed:
        linked_list.unlink(replica.gpu_lru, number)
        queue.listed = 0


@compiled
def _load(sim: Any, replica: Any, number: int) -> float:
    """Load an adapter into a slot, from disk if need be; return the seconds."""
    seconds = 0.0
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
    _touch(replica, number)
    return float(seconds + floats(sim.cpu_to_gpu_s)[number])


@compiled
def _evict_from_host(sim: Any, replica: Any) -> None:
    victim = linked_list.first(replica.cpu_lru, sim.n_adapters)
    linked_list.unlink(replica.cpu_lru, victim)
    queue_at(replica.queues, victim).cached = 0
    replica.cached_adapters -= 1
    if queue_at(replica.queues, victim).resident:  # no slot for an adapter that host memory has no more
        _clear_slot(replica, victim)


@compiled
def _evict_from_gpu(sim: Any, replica: Any) -> None:
    """Clear the slot of the least recently used adapter.

    Those that left before the last step are in the list by age. All others were in the last step's batch, and the
    step went through them in order, unless this one has come by already.
    """
    oldest = linked_list.first(replica.gpu_lru, sim.n_adapters)
    if oldest != sim.n_adapters and (
        queue_at(replica.queues, oldest).touched < replica.steps or sim.touches_first
    ):
        _clear_slot(replica, _first_of_its_step(sim, replica, oldest))
        return
    victim = int64s(sim.touch_order)[replica.touch_cursor]
    while (
        not queue_at(replica.queues, victim).resident
        or queue_at(replica.queues, victim).touched > replica.steps
    ):
        replica.touch_cursor += 1
        victim = int64s(sim.touch_order)[replica.touch_cursor]
    _clear_slot(replica, victim)


@compiled
def _first_of_its_step(sim: Any, replica: Any, oldest: int) -> int:
    """Return which of the adapters that left in the same step as the list's first one the step came to first."""
    step = queue_at(replica.queues, oldest).touched
    chosen = oldest
    number = oldest
    while number != sim.n_adapters and queue_at(replica.queues, number).touched == step:
        if int64s(sim.touch_place)[number] < int64s(sim.touch_place)[chosen]:
            chosen = number
        number = linked_list.after(replica.gpu_lru, number)
    return chosen


@compiled
def _clear_slot(replica: Any, number: int) -> None:
    queue = queue_at(replica.queues, number)
    queue.resident = 0
    replica.resident_adapters -= 1
    if queue.listed:
        linked_list.unlink(replica.gpu_lru, number)
        queue.listed = 0
