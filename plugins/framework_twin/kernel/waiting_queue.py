"""The waiting queue: first come, first served, skipping requests whose adapter finds no slot.

There is one linked queue per adapter, and two heaps of the queues that hold anything, keyed by the arrival
order of their heads: *open* (the base model and the adapters of the running batch: always admissible) and
*closed* (the others: admissible while the batch has fewer than `max_loras` adapters). The next request is the
older of two heads, however long the queue.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel import heap
from framework_twin.kernel.jit import compiled
from framework_twin.kernel.memory import int8s, int64s, queue_at, read_int32, request_at
from framework_twin.kernel.state import NONE, PREEMPTED


@compiled
def enqueue(sim: Any, replica: Any, item: int) -> None:
    """Append a request that has arrived."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    int64s(sim.waiting_next)[item] = NONE
    if queue.head == NONE:
        queue.head = item
        queue.tail = item
        _list_queue(sim, replica, number)
    else:
        int64s(sim.waiting_next)[queue.tail] = item
        queue.tail = item
    replica.waiting += 1
    if replica.waiting > replica.waiting_peak:
        replica.waiting_peak = replica.waiting


@compiled
def return_to_front(sim: Any, replica: Any, item: int) -> None:
    """Put a preempted request before everything that waits."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    request = request_at(sim.requests, item)
    int8s(sim.status)[item] = PREEMPTED
    request.queue_key = -replica.preemptions
    int64s(sim.waiting_next)[item] = queue.head
    if queue.head == NONE:
        queue.tail = item
        queue.head = item
        _list_queue(sim, replica, number)
    else:
        queue.head = item
        _rekey_queue(sim, replica, number)
    replica.waiting += 1
    if replica.waiting > replica.waiting_peak:
        replica.waiting_peak = replica.waiting


@compiled
def first_admissible(sim: Any, replica: Any) -> int:
    """Return the oldest request that the adapter slots admit, or NONE."""
    if sim.max_loras > replica.active_adapters and replica.closed_size > 0:
        closed_key = heap.first_key(replica.closed_heap)
        if replica.open_size == 0 or closed_key < heap.first_key(replica.open_heap):
            return int(queue_at(replica.queues, heap.first_item(replica.closed_heap)).head)
    elif replica.open_size == 0:
        return NONE
    return int(queue_at(replica.queues, heap.first_item(replica.open_heap)).head)


@compiled
def dequeue(sim: Any, replica: Any, item: int) -> None:
    """Take the head of its queue out, to run."""
    number = read_int32(sim.adapter, item)
    queue = queue_at(replica.queues, number)
    queue.head = int64s(sim.waiting_next)[item]
    if queue.head == NONE:
        _unlist_queue(sim, replica, number)
    else:
        _rekey_queue(sim, replica, number)
    replica.waiting -= 1


@compiled
def open_queue(sim: Any, replica: Any, number: int) -> None:
    """Move an adapter's queue to the open heap: the adapter joins the running batch."""
    if queue_at(replica.queues, number).head != NONE:
        heap.remove(replica.closed_heap, replica.queue_places, replica.closed_size, number)
        replica.closed_size -= 1
        heap.push(
            replica.open_heap,
            replica.queue_places,
            replica.open_size,
            _head_key(sim, replica, number),
            number,
        )
        replica.open_size += 1


@compiled
def close_queue(sim: Any, replica: Any, number: int) -> None:
    """Move an adapter's queue to the closed heap: the adapter left the running batch."""
    if queue_at(replica.queues, number).head != NONE:
        heap.remove(replica.open_heap, replica.queue_places, replica.open_size, number)
        replica.open_size -= 1
        heap.push(
            replica.closed_heap,
            replica.queue_places,
            replica.closed_size,
            _head_key(sim, replica, number),
            number,
        )
        replica.closed_size += 1


@compiled
def _is_open(sim: Any, replica: Any, number: int) -> bool:
    return bool(number == sim.n_adapters or queue_at(replica.queues, number).running > 0)


@compiled
def _head_key(sim: Any, replica: Any, number: int) -> int:
    """Arrival order of a queue's head: its index or, once preempted, a negative number, the latest the lowest."""
    item = queue_at(replica.queues, number).head
    request = request_at(sim.requests, item)
    return int(request.queue_key) if request.queue_key < 0 else int(item)


@compiled
def _list_queue(sim: Any, replica: Any, number: int) -> None:
    key = _head_key(sim, replica, number)
    if _is_open(sim, replica, number):
        heap.push(replica.open_heap, replica.queue_places, replica.open_size, key, number)
        replica.open_size += 1
    else:
        heap.push(replica.closed_heap, replica.queue_places, replica.closed_size, key, number)
        replica.closed_size += 1


@compiled
def _unlist_queue(sim: Any, replica: Any, number: int) -> None:
    if _is_open(sim, replica, number):
        heap.remove(replica.open_heap, replica.queue_places, replica.open_size, number)
        replica.open_size -= 1
    else:
        heap.remove(replica.closed_heap, replica.queue_places, replica.closed_size, number)
        replica.closed_size -= 1


@compiled
def _rekey_queue(sim: Any, replica: Any, number: int) -> None:
    key = _head_key(sim, replica, number)
    if _is_open(sim, replica, number):
        heap.rekey(replica.open_heap, replica.queue_places, replica.open_size, key, number)
    else:
        heap.rekey(replica.closed_heap, replica.queue_places, replica.closed_size, key, number)
