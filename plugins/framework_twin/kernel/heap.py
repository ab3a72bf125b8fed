"""A binary min-heap of (key, item) pairs that knows where each item is, so that any item can be removed.

An entry is one int64, `key << 32 | item`: ties break by item number, which keeps runs deterministic. `entries` is the
address of the entries, `places` that of the int64 place of each item in the heap.
"""

from __future__ import annotations

from framework_twin.kernel.jit import compiled
from framework_twin.kernel.memory import int64s

_ITEM_BITS = 32
_ITEM_MASK = (1 << _ITEM_BITS) - 1


@compiled
def first_key(entries: int) -> int:
    """Return the lowest key of a heap that is not empty."""
    return int(int64s(entries)[0] >> _ITEM_BITS)


@compiled
def first_item(entries: int) -> int:
    """Return the item of the lowest key of a heap that is not empty."""
    return int(int64s(entries)[0] & _ITEM_MASK)


@compiled
def push(entries: int, places: int, size: int, key: int, item: int) -> None:
    """Add an item to a heap of `size` entries."""
    _rise(entries, places, size, (key << _ITEM_BITS) | item)


@compiled
def remove(entries: int, places: int, size: int, item: int) -> None:
    """Remove an item from a heap of `size` entries."""
    hole = int64s(places)[item]
    if hole != size - 1:
        _settle(entries, places, size - 1, hole, int64s(entries)[size - 1])


@compiled
def rekey(entries: int, places: int, size: int, key: int, item: int) -> None:
    """Give an item of a heap of `size` entries another key."""
    _settle(entries, places, size, int64s(places)[item], (key << _ITEM_BITS) | item)


@compiled
def _settle(entries: int, places: int, size: int, place: int, entry: int) -> None:
    """Fill a hole with an entry that may belong above or below it."""
    if place > 0 and entry < int64s(entries)[(place - 1) >> 1]:
        _rise(entries, places, place, entry)
    else:
        _sink(entries, places, size, place, entry)


@compiled
def _rise(entries: int, places: int, place: int, entry: int) -> None:
    values = int64s(entries)
    place_of = int64s(places)
    while place > 0:
        parent = (place - 1) >> 1
        above = values[parent]
        if above <= entry:
            break
        values[place] = above
        place_of[above & _ITEM_MASK] = place
        place = parent
    values[place] = entry
    place_of[entry & _ITEM_MASK] = place


@compiled
def _sink(entries: int, places: int, size: int, place: int, entry: int) -> None:
    values = int64s(entries)
    place_of = int64s(places)
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        below = values[child]
        if child + 1 < size and values[child + 1] < below:
            child += 1
            below = values[child]
        if below >= entry:
            break
        values[place] = below
        place_of[below & _ITEM_MASK] = place
        place = child
    values[place] = entry
    place_of[entry & _ITEM_MASK] = place
