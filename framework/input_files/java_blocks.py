"""Compressed streams as Java's own libraries write them, block by block: lz4-java, snappy-java, compress-lzf.

Each has its own framing, which no command-line tool reads:
LZ4Block   8 bytes of name, a byte of method, then lengths packed and unpacked and a checksum, little-endian
SNAPPY     16 bytes of name and version, then for each block its length, big-endian, and a raw Snappy block
ZV         for each block a byte of method, then lengths packed (and unpacked), two bytes each, big-endian
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

_LZ4, _SNAPPY, _LZF = b"LZ4Block", b"\x82SNAPPY\x00", b"ZV"
_STORED = 0x10
_MOST = 1 << 26  # bytes of one block: no writer makes larger ones

JAVA_MAGIC = ((_LZ4, "lz4-java"), (_SNAPPY, "snappy-java"), (_LZF + b"\x00", "lzf"), (_LZF + b"\x01", "lzf"))
"""First bytes, and the name of the form."""


class JavaBlocks(io.RawIOBase):
    """Decompressed bytes of such a stream. Raises `EOFError` where it breaks off, `OSError` if damaged."""

    def __init__(self, raw: BinaryIO, form: str) -> None:
        blocks = {"lz4-java": _lz4_blocks, "snappy-java": _snappy_blocks, "lzf": _lzf_blocks}
        self._blocks, self._held = blocks[form](raw), memoryview(b"")

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill the buffer as far as the present block reaches; return the number of bytes, 0 at the end."""
        while not self._held:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._held = memoryview(block)
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count


def _exactly(raw: BinaryIO, count: int) -> bytes:
    if count > _MOST:
        raise OSError(f"a block of {count} bytes: the compressed file is damaged")
    found = raw.read(count)
    if len(found) < count:
        raise EOFError("the compressed file breaks off")
    return found


def _lz4_blocks(raw: BinaryIO) -> Iterator[bytes]:
    while head := raw.read(len(_LZ4)):
        if head != _LZ4:
            raise (
                EOFError("the compressed file breaks off")
                if _LZ4.startswith(head)
                else OSError("no LZ4 block")
            )
        method, packed, size, _ = struct.unpack("<Biii", _exactly(raw, 13))
        if packed < 0 or size < 0:
            raise OSError("an LZ4 block of negative length")
        data = _exactly(raw, packed)
        if size:
            yield data if method & 0xF0 == _STORED else _unpacked(data, size, "lz4_raw")


def _snappy_blocks(raw: BinaryIO) -> Iterator[bytes]:
    _exactly(raw, 16)
    while head := raw.read(4):
        if len(head) < 4:
            raise EOFError("the compressed file breaks off")
        if head == _SNAPPY[:4]:  # another stream behind this one
            _exactly(raw, 12)
            continue
        data = _exactly(raw, int.from_bytes(head, "big"))
        size = shift = 0
        for byte in data[:5]:
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield _unpacked(data, size, "snappy")


def _unpacked(data: bytes, size: int, codec: str) -> bytes:
    import pyarrow as pa

    if size > _MOST:
        raise OSError(f"a block of {size} bytes: the compressed file is damaged")
    found: bytes = pa.decompress(data, decompressed_size=size, codec=codec, asbytes=True)
    if len(found) != size:
        raise OSError("a block does not have the length in its header")
    return found


def _lzf_blocks(raw: BinaryIO) -> Iterator[bytes]:
    while head := raw.read(5):
        if len(head) < 5:
            raise EOFError("the compressed file breaks off")
        if head[:2] != _LZF or head[2] > 1:
            raise OSError("no LZF block")
        packed = int.from_bytes(head[3:5], "big")
        if head[2] == 0:
            yield _exactly(raw, packed)
            continue
        size = int.from_bytes(_exactly(raw, 2), "big")
        yield _unpacked_lzf(_exactly(raw, packed), size)


def _unpacked_lzf(data: bytes, size: int) -> bytes:
    """Return a block's content: runs of literals, and references to what was before (LibLZF's format)."""
    found, place = bytearray(), 0
    try:
        while place < len(data):
            control = data[place]
            place += 1
            if control < 32:
                found += data[place : place + control + 1]
                place += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[place]
                place += 1
            back = ((control & 0x1F) << 8) + data[place] + 1
            place += 1
            begin = len(found) - back
            if begin < 0:
                raise OSError("an LZF block refers to before its begin")
            for offset in range(length + 2):
                found.append(found[begin + offset])
    except IndexError:
        raise OSError("an LZF block breaks off") from None
    if len(found) != size:
        raise OSError("an LZF block does not have the length in its header")
    return bytes(found)
