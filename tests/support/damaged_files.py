"""Damaged copies of a file, as disks, editors, spreadsheets and killed programs make them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

_NUMBER = re.compile(rb"-?\d+\.?\d*(?:[eE][+-]?\d+)?")


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    """Yield damaged copies: cut, lost, doubled and swapped parts, changed bytes, digits and signs."""
    rng = random.Random(20261128)
    for _ in range(count):
        start, size = rng.randrange(len(data)), rng.randrange(1, 60)
        end = start + size
        kind = rng.randrange(7)
        if kind == 0:
            yield data[:start]
        elif kind == 1:
            yield data[:start] + data[end:]
        elif kind == 2:
            yield data[:end] + data[start:]
        elif kind == 3:
            other = rng.randrange(len(data))
            yield data[:start] + data[other : other + size] + data[end:]
        elif kind == 4:
            yield data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]
        else:
            found = list(_NUMBER.finditer(data))
            number = rng.choice(found)
            text = rng.choice(
                [b"-1", b"0", b"1e999", b"1e308", b"NaN", b"null", b'"x"', b"7", number[0] + b"0", b"[]"]
            )
            yield data[: number.start()] + text + data[number.end() :]


def damaged(data: bytes, draw: random.Random, longest: int) -> bytes:
    """Return a copy with a byte changed, a stretch lost or repeated (shorter than `longest`), or its end cut off."""
    changed = bytearray(data)
    way, place = draw.randrange(4), draw.randrange(len(data))
    if way == 0:
        changed[place] = draw.randrange(256)
    elif way == 1:
        del changed[place : place + draw.randrange(1, longest)]
    elif way == 2:
        changed[place:place] = changed[place : place + draw.randrange(1, longest)]
    else:
        del changed[place:]
    return bytes(changed)
