"""A binary min-heap of (key, item) pairs that knows where each item is, so that any item can be removed.

An entry is one int64, `key << 32 | item`: ties break by item number, which keeps runs deterministic. `position[item]`
is the item's index in the heap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framework_twin.kernel.jit import compiled, inlined

Entries = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]

_ITEM_BITS = 32
_ITEM_MASK = (1 << _ITEM_BITS) - 1


@inlined
def key_of(entry: int) -> int:
    """Return the key of an entry."""
    return entry >> _ITEM_BITS


@inlined
def item_of(entry: int) -> int:
    """Return the item of an entry."""
    return entry & _ITEM_MASK


@compiled
def push(entries: Entries, position: Positions, size: int, key: int, item: int) -> None:
    """Add an item to a heap of `size` entries."""
    _rise(entries, position, size, (key << _ITEM_BITS) | item)


@compiled
def remove(entries: Entries, position: Positions, size: int, item: int) -> None:
    """Remove an item from a heap of `size` entries."""
    last = entries[size - 1]
    hole = position[item]
    if hole == size - 1:
        return
    if hole > 0 and last < entries[(hole - 1) >> 1]:
        _rise(entries, position, hole, last)
    else:
        _sink(entries, position, size - 1, hole, last)


@compiled
def rekey(entries: Entries, position: Positions, size: int, key: int, item: int) -> None:
    """Give an item of a heap of `size` entries another key."""
    entry = (key << _ITEM_BITS) | item
    place = position[item]
    if place > 0 and entry < entries[(place - 1) >> 1]:
        _rise(entries, position, place, entry)
    else:
        _sink(entries, position, size, place, entry)


@compiled
def _rise(entries: Entries, position: Positions, place: int, entry: int) -> None:
    while place > 0:
        parent = (place - 1) >> 1
        if entries[parent] <= entry:
            break
        entries[place] = entries[parent]
        position[entries[place] & _ITEM_MASK] = place
        place = parent
    entries[place] = entry
    position[entry & _ITEM_MASK] = place


@compiled
def _sink(entries: Entries, position: Positions, size: int, place: int, entry: int) -> None:
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and entries[child + 1] < entries[child]:
            child += 1
        if entries[child] >= entry:
            break
        entries[place] = entries[child]
        position[entries[place] & _ITEM_MASK] = place
        place = child
    entries[place] = entry
    position[entry & _ITEM_MASK] = place
