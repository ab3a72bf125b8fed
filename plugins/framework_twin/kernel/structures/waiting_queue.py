"""The waiting queue: first come, first served, skipping requests whose adapter finds no slot.

There is one linked queue per adapter, and two heaps of the queues that hold anything, keyed by the arrival
order of their heads: *open* (the base model and the adapters of the running batch: always admissible) and
*closed* (the others: admissible while the batch has fewer than `max_loras` adapters). The next request is the
older of two heads, however long the queue.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import int8s, int64s, queue_at, read_int32, request_at
from framework_twin.kernel.state import NONE, PREEMPTED
from framework_twin.kernel.structures import heap


@compiled
def enqueue(sim: Any, replica: Any, item: int, key: int) -> None:
    """Append a request that has arrived; `key` is its place in the order of arrival."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    int64s(sim.waiting_next)[item] = NONE
    if queue.head == NONE:
        queue.head = item
        heap.push(_heap_of(sim, replica, number), replica.queue_places, key, number)
    else:
        int64s(sim.waiting_next)[queue.tail] = item
    queue.tail = item
    _count_in(replica)


@compiled
def return_to_front(sim: Any, replica: Any, item: int) -> None:
    """Put a preempted request before everything that waits."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    key = -replica.preemptions
    request_at(sim.requests, item).queue_key = key
    int8s(sim.status)[item] = PREEMPTED
    int64s(sim.waiting_next)[item] = queue.head
    if queue.head == NONE:
        queue.tail = item
        heap.push(_heap_of(sim, replica, number), replica.queue_places, key, number)
    else:
        heap.rekey(_heap_of(sim, replica, number), replica.queue_places, key, number)
    queue.head = item
    _count_in(replica)


@compiled
def first_admissible(sim: Any, replica: Any) -> int:
    """Return the oldest request that the adapter slots admit, or NONE."""
    chosen = replica.open_heap
    if sim.max_loras > replica.active_adapters and not heap.is_empty(replica.closed_heap):
        if heap.is_empty(chosen) or heap.first_key(replica.closed_heap) < heap.first_key(chosen):
            chosen = replica.closed_heap
    elif heap.is_empty(chosen):
        return NONE
    return int(queue_at(replica.queues, heap.first_item(chosen)).head)


@compiled
def dequeue(sim: Any, replica: Any, item: int) -> None:
    """Take the head of its queue out, to run."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    queue.head = int64s(sim.waiting_next)[item]
    if queue.head == NONE:
        heap.remove(_heap_of(sim, replica, number), replica.queue_places, number)
    else:
        key = _order_of(sim, queue.head)
        heap.rekey(_heap_of(sim, replica, number), replica.queue_places, key, number)
    replica.waiting -= 1


@compiled
def move_queue(sim: Any, replica: Any, number: int, from_heap: int, to_heap: int) -> None:
    """Move an adapter's queue between the closed and the open heap: it joins or leaves the running batch."""
    head = queue_at(replica.queues, number).head
    if head != NONE:
        heap.remove(from_heap, replica.queue_places, number)
        heap.push(to_heap, replica.queue_places, _order_of(sim, head), number)


@compiled
def _heap_of(sim: Any, replica: Any, number: int) -> int:
    is_open = number == sim.n_adapters or queue_at(replica.queues, number).running > 0
    return int(replica.open_heap if is_open else replica.closed_heap)


@compiled
def _order_of(sim: Any, item: int) -> int:
    """Place of a request in the order of arrival; once preempted, a negative number, the latest the lowest.

    The order is that of the rows, unless requests wait for others: then the request knows its place, from 1 on.
    """
    key = request_at(sim.requests, item).queue_key
    return int(key if key != 0 else item)


@compiled
def _count_in(replica: Any) -> None:
    replica.waiting += 1
    replica.waiting_peak = max(replica.waiting_peak, replica.waiting)
