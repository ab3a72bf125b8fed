"""Messages between the server and the process of the queries: a letter, a length of 8 bytes, the content."""

from __future__ import annotations

import os
import select
import struct
import time
from typing import IO

READY, ROWS, ERROR = b"S", b"R", b"E"
_HEAD = struct.Struct("<cQ")


def write_frame(out: IO[bytes], kind: bytes, content: bytes) -> None:
    """Write a message."""
    out.write(_HEAD.pack(kind, len(content)))
    out.write(content)
    out.flush()


def read_frame(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Read a message; None at the end."""
    head = source.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, size = _HEAD.unpack(head)
    return kind, source.read(size)


def read_frame_until(descriptor: int, deadline_s: float) -> tuple[bytes, bytes]:
    """Read a message from a pipe before a time of `time.monotonic()`.

    Raises:
        TimeoutError: it did not come.
        EOFError: the other end is closed.
    """
    kind, size = _HEAD.unpack(_exactly(descriptor, _HEAD.size, deadline_s))
    return kind, _exactly(descriptor, size, deadline_s)


def _exactly(descriptor: int, size: int, deadline_s: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(descriptor, min(size - len(found), 1 << 20))
        if not part:
            raise EOFError
        found += part
    return bytes(found)
