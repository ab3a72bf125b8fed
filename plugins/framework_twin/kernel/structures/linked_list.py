"""Doubly linked lists over item numbers: O(1) append, removal from anywhere, and both ends.

A list is at the address of int64 pairs (predecessor, successor), one pair per item. It is circular through its
sentinel, an item number of its own.
"""

from __future__ import annotations

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import int64s


@compiled
def first(links: int, sentinel: int) -> int:
    """Return the first item, or the sentinel if there is none."""
    return int(int64s(links)[2 * sentinel + 1])


@compiled
def last(links: int, sentinel: int) -> int:
    """Return the last item, or the sentinel if there is none."""
    return int(int64s(links)[2 * sentinel])


@compiled
def after(links: int, item: int) -> int:
    """Return the next item, or the sentinel after the last."""
    return int(int64s(links)[2 * item + 1])


@compiled
def append(links: int, sentinel: int, item: int) -> None:
    """Put an item at the end."""
    pairs = int64s(links)
    before = pairs[2 * sentinel]
    pairs[2 * before + 1] = item
    pairs[2 * item] = before
    pairs[2 * item + 1] = sentinel
    pairs[2 * sentinel] = item


@compiled
def unlink(links: int, item: int) -> None:
    """Take an item out of the list it is in."""
    pairs = int64s(links)
    before = pairs[2 * item]
    following = pairs[2 * item + 1]
    pairs[2 * before + 1] = following
    pairs[2 * following] = before
