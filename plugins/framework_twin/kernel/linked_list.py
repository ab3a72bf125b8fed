"""Doubly linked lists over item numbers, in one array: O(1) append, removal from anywhere, and both ends.

`links` is an int32 array of shape (2, items + sentinels): row 0 holds each item's predecessor, row 1 its successor. A
list is circular through its sentinel, an item number of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framework_twin.kernel.jit import inlined

Links = npt.NDArray[np.int32]

PREVIOUS = 0
NEXT = 1


@inlined
def clear(links: Links, sentinel: int) -> None:
    """Make the list of this sentinel empty."""
    links[PREVIOUS, sentinel] = sentinel
    links[NEXT, sentinel] = sentinel


@inlined
def append(links: Links, sentinel: int, item: int) -> None:
    """Put an item at the end."""
    last = links[PREVIOUS, sentinel]
    links[NEXT, last] = item
    links[PREVIOUS, item] = last
    links[NEXT, item] = sentinel
    links[PREVIOUS, sentinel] = item


@inlined
def unlink(links: Links, item: int) -> None:
    """Take an item out of the list it is in."""
    before = links[PREVIOUS, item]
    after = links[NEXT, item]
    links[NEXT, before] = after
    links[PREVIOUS, after] = before
