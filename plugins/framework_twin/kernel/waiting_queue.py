"""The waiting queue: first come, first served, skipping requests whose adapter finds no slot.

There is one linked queue per adapter, and two heaps of the queues that hold anything, keyed by the arrival order of
their heads: *open* (the base model and the adapters of the running batch: always admissible) and *closed* (the others:
admissible while the batch has fewer than `max_loras` adapters). The next request is the older of two heads, however
long the queue.
"""

from __future__ import annotations

from framework_twin.kernel import heap
from framework_twin.kernel.jit import compiled, inlined
from framework_twin.kernel.state import NONE, WAITING, Tables


@inlined
def enqueue(tables: Tables, r: int, item: int) -> None:
    """Append a request that has arrived."""
    replica = tables.replicas[r]
    number = tables.adapter[item]
    queue = tables.queues[r, number]
    tables.waiting_next[item] = NONE
    if queue.head == NONE:
        queue.head = item
        queue.tail = item
        _list_queue(tables, r, number)
    else:
        tables.waiting_next[queue.tail] = item
        queue.tail = item
    replica.waiting += 1
    if replica.waiting > replica.waiting_peak:
        replica.waiting_peak = replica.waiting


@compiled
def return_to_front(tables: Tables, r: int, item: int) -> None:
    """Put a preempted request before everything that waits."""
    replica = tables.replicas[r]
    number = tables.adapter[item]
    queue = tables.queues[r, number]
    request = tables.requests[item]
    request.status = WAITING
    request.queue_key = -replica.preemptions
    tables.waiting_next[item] = queue.head
    if queue.head == NONE:
        queue.tail = item
        queue.head = item
        _list_queue(tables, r, number)
    else:
        queue.head = item
        _rekey_queue(tables, r, number)
    replica.waiting += 1
    if replica.waiting > replica.waiting_peak:
        replica.waiting_peak = replica.waiting


@inlined
def first_admissible(tables: Tables, r: int) -> int:
    """Return the oldest request that the adapter slots admit, or NONE."""
    replica = tables.replicas[r]
    open_head = tables.open_heap[r, 0]
    if tables.config.max_loras > replica.active_adapters and replica.closed_size > 0:
        closed_head = tables.closed_heap[r, 0]
        if replica.open_size == 0 or closed_head >> 32 < open_head >> 32:
            return int(tables.queues[r, heap.item_of(closed_head)].head)
    elif replica.open_size == 0:
        return NONE
    return int(tables.queues[r, heap.item_of(open_head)].head)


@inlined
def dequeue(tables: Tables, r: int, item: int) -> None:
    """Take the head of its queue out, to run."""
    number = tables.adapter[item]
    queue = tables.queues[r, number]
    queue.head = tables.waiting_next[item]
    if queue.head == NONE:
        _unlist_queue(tables, r, number)
    else:
        _rekey_queue(tables, r, number)
    tables.replicas[r].waiting -= 1


@compiled
def open_queue(tables: Tables, r: int, number: int) -> None:
    """Move an adapter's queue to the open heap: the adapter joins the running batch."""
    if tables.queues[r, number].head != NONE:
        replica = tables.replicas[r]
        heap.remove(tables.closed_heap[r], tables.queue_position[r], replica.closed_size, number)
        replica.closed_size -= 1
        heap.push(
            tables.open_heap[r], tables.queue_position[r], replica.open_size, _head_key(tables, r, number), number
        )
        replica.open_size += 1


@compiled
def close_queue(tables: Tables, r: int, number: int) -> None:
    """Move an adapter's queue to the closed heap: the adapter left the running batch."""
    if tables.queues[r, number].head != NONE:
        replica = tables.replicas[r]
        heap.remove(tables.open_heap[r], tables.queue_position[r], replica.open_size, number)
        replica.open_size -= 1
        heap.push(
            tables.closed_heap[r],
            tables.queue_position[r],
            replica.closed_size,
            _head_key(tables, r, number),
            number,
        )
        replica.closed_size += 1


@inlined
def _is_open(tables: Tables, r: int, number: int) -> bool:
    return bool(number == tables.queues.shape[1] - 1 or tables.queues[r, number].running > 0)


@inlined
def _head_key(tables: Tables, r: int, number: int) -> int:
    """Arrival order of a queue's head: its index or, once preempted, a negative number, the latest the lowest."""
    item = tables.queues[r, number].head
    request = tables.requests[item]
    return int(request.queue_key) if request.queue_key < 0 else int(item)


@compiled
def _list_queue(tables: Tables, r: int, number: int) -> None:
    replica = tables.replicas[r]
    key = _head_key(tables, r, number)
    if _is_open(tables, r, number):
        heap.push(tables.open_heap[r], tables.queue_position[r], replica.open_size, key, number)
        replica.open_size += 1
    else:
        heap.push(tables.closed_heap[r], tables.queue_position[r], replica.closed_size, key, number)
        replica.closed_size += 1


@compiled
def _unlist_queue(tables: Tables, r: int, number: int) -> None:
    replica = tables.replicas[r]
    if _is_open(tables, r, number):
        heap.remove(tables.open_heap[r], tables.queue_position[r], replica.open_size, number)
        replica.open_size -= 1
    else:
        heap.remove(tables.closed_heap[r], tables.queue_position[r], replica.closed_size, number)
        replica.closed_size -= 1


@compiled
def _rekey_queue(tables: Tables, r: int, number: int) -> None:
    replica = tables.replicas[r]
    key = _head_key(tables, r, number)
    if _is_open(tables, r, number):
        heap.rekey(tables.open_heap[r], tables.queue_position[r], replica.open_size, key, number)
    else:
        heap.rekey(tables.closed_heap[r], tables.queue_position[r], replica.closed_size, key, number)
