"""The Snappy framing format (framing_format.txt of google/snappy), read as a stream."""

from __future__ import annotations

import io
from typing import BinaryIO

_COMPRESSED, _PLAIN, _FIRST_SKIPPABLE = 0x00, 0x01, 0x80
_CHECKSUM_BYTES = 4


class SnappyFrames(io.RawIOBase):
    """Decompressed bytes of a framed Snappy file. Raises `EOFError` where it breaks off, `OSError` if damaged."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._held = raw, memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill the buffer as far as the present chunk reaches; return the number of bytes, 0 at the end."""
        while not self._held:
            head = self._raw.read(4)
            if not head:
                return 0
            kind, size = head[0], int.from_bytes(head[1:4], "little")
            body = self._raw.read(size)
            if len(head) < 4 or len(body) < size:
                raise EOFError("the compressed file breaks off")
            if kind in (_COMPRESSED, _PLAIN):
                data = body[_CHECKSUM_BYTES:]
                self._held = memoryview(_uncompressed(data) if kind == _COMPRESSED else data)
            elif kind < _FIRST_SKIPPABLE:
                raise OSError(f"chunk type {kind:#x} does not exist in the Snappy framing format")
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count


def _uncompressed(block: bytes) -> bytes:
    """Return a raw Snappy block's content; its length stands before it in seven-bit groups."""
    import pyarrow as pa

    size = shift = 0
    for byte in block[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if size > 1 << 24:
        raise OSError("a Snappy block of more than 16 MiB")
    found: bytes = pa.decompress(block, decompressed_size=size, codec="snappy", asbytes=True)
    return found
