"""A binary min-heap of (key, item) pairs that knows where each item is, so that any item can be removed.

An entry is one int64, `key << 32 | item`: ties break by item number, which keeps runs deterministic. `heap` is the
address of the number of entries with the entries behind it, `places` that of the place of each item in its heap.
"""

from __future__ import annotations

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import int64s

_ITEM_BITS = 32
_ITEM_MASK = (1 << _ITEM_BITS) - 1


@compiled
def is_empty(heap: int) -> bool:
    """Return whether a heap has no entries."""
    return bool(int64s(heap)[0] == 0)


@compiled
def first_key(heap: int) -> int:
    """Return the lowest key of a heap that is not empty."""
    return int(int64s(heap)[1] >> _ITEM_BITS)


@compiled
def first_item(heap: int) -> int:
    """Return the item of the lowest key of a heap that is not empty."""
    return int(int64s(heap)[1] & _ITEM_MASK)


@compiled
def push(heap: int, places: int, key: int, item: int) -> None:
    """Add an item."""
    entries = int64s(heap)
    entries[0] += 1
    _settle(heap, places, entries[0], (key << _ITEM_BITS) | item)


@compiled
def remove(heap: int, places: int, item: int) -> None:
    """Remove an item, wherever it is."""
    entries = int64s(heap)
    hole = int64s(places)[item]
    last = entries[0]
    entries[0] -= 1
    if hole != last:
        _settle(heap, places, hole, entries[last])


@compiled
def rekey(heap: int, places: int, key: int, item: int) -> None:
    """Give an item another key."""
    _settle(heap, places, int64s(places)[item], (key << _ITEM_BITS) | item)


@compiled
def _settle(heap: int, places: int, place: int, entry: int) -> None:
    """Fill a hole with an entry, which rises above larger ones or sinks below smaller ones."""
    entries = int64s(heap)
    place_of = int64s(places)
    size = entries[0]
    while place > 1 and entries[place >> 1] > entry:
        above = entries[place >> 1]
        entries[place] = above
        place_of[above & _ITEM_MASK] = place
        place >>= 1
    child = 2 * place
    while child <= size:
        if child < size and entries[child + 1] < entries[child]:
            child += 1
        below = entries[child]
        if below >= entry:
            break
        entries[place] = below
        place_of[below & _ITEM_MASK] = place
        place = child
        child = 2 * place
    entries[place] = entry
    place_of[entry & _ITEM_MASK] = place
