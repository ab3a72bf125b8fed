"""Opening a file of unknown origin: compression and encoding by its first bytes, whatever its name says."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TextIO, cast

from framework.errors import InputError
from framework.input_files.java_blocks import JAVA_MAGIC, JavaBlocks

HEAD_BYTES = 64 * 1024

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bz2"),
    *JAVA_MAGIC,
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeError)
"""What reading a damaged file can raise."""


def compression_of(path: Path) -> str:
    """Return `gzip`, `zstd`, `lz4`, `snappy`, `xz`, `bz2`, or "" for a file that is not compressed.

    `lz4-java`, `snappy-java` and `lzf` are the forms of Java's libraries.
    """
    with path.open("rb") as file:
        start = file.read(16)
    return next((name for magic, name in _MAGIC if start.startswith(magic)), "")


def encoding_of(data: bytes) -> str | None:
    """Return the encoding of a text by its first bytes; None for what is no text.

    UTF-16 without a mark is seen by its zero bytes, which stand at every second place.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    sample = data[:4096]
    zeros = sample.count(0)
    if zeros <= 1 and not _what_it_is(data):
        return "utf-8"  # a stray one is for the reader of lines to name
    if zeros > 0.4 * len(sample):
        if not any(sample[0::2]):
            return "utf-16-be"
        if not any(sample[1::2]):
            return "utf-16-le"
    return None


@contextmanager
def opened_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed.

    Raises:
        InputError: no such file, or one that breaks off or is damaged; names it.
    """
    try:
        name = compression_of(path)
        with path.open("rb") as raw, _decompressed(raw, name) as stream:
            yield cast(BinaryIO, stream)
    except FileNotFoundError:
        raise InputError(f"no such file '{path}'") from None
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder, not a file") from None
    except READ_ERRORS as error:
        raise InputError(_cannot_read(path, error)) from error


def content_to_its_end(path: Path) -> bytes:
    """Return a file's content, decompressed; of a compressed file that breaks off, what is there.

    Raises:
        InputError: it can't be opened, is damaged, or nothing of it can be read.
    """
    parts: list[bytes] = []
    with opened_bytes(path) as stream:
        try:
            while part := stream.read(HEAD_BYTES):
                parts.append(part)
        except READ_ERRORS as error:
            breaks_off = isinstance(error, EOFError) or "truncated" in str(error).lower()
            if not (parts and breaks_off):
                raise  # what is damaged may have been damaged before, too
    return b"".join(parts)


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """Open a text file for reading: decompressed, in its own encoding, line ends as they are.

    Raises:
        InputError: no such file, one that is no text, breaks off or is damaged; names it.
    """
    with opened_bytes(path) as stream:
        buffered = io.BufferedReader(cast(io.RawIOBase, stream), HEAD_BYTES)
        encoding = encoding_of(buffered.peek(HEAD_BYTES)[:HEAD_BYTES])
        if encoding is None:
            raise InputError(f"{path}: is not a text file{_what_it_is(buffered.peek(16))}")
        text = io.TextIOWrapper(buffered, encoding=encoding, newline="")
        try:
            yield text
        finally:
            text.detach()


def _what_it_is(start: bytes) -> str:
    kinds = (
        (b"PAR1", "Parquet"),
        (b"SQLite format 3", "SQLite"),
        (b"PK\x03\x04", "zip"),
        (b"ARROW1", "Arrow"),
    )
    return next((f" but {name}" for magic, name in kinds if start.startswith(magic)), "")


def _cannot_read(path: Path, error: BaseException) -> str:
    if isinstance(error, UnicodeError):
        return f"{path}: is not a text in UTF-8 or UTF-16: {error}"
    return f"{path}: can't be read to its end: {error or type(error).__name__}"


@contextmanager
def _decompressed(raw: BinaryIO, name: str) -> Iterator[IO[bytes]]:
    if name == "gzip":
        with gzip.GzipFile(fileobj=raw) as stream:
            yield cast("IO[bytes]", stream)
    elif name == "xz":
        with lzma.LZMAFile(raw) as stream:
            yield stream
    elif name == "bz2":
        with bz2.BZ2File(raw) as stream:
            yield stream
    elif name in ("zstd", "lz4"):
        import pyarrow as pa

        with pa.CompressedInputStream(raw, name) as stream:
            yield io.BufferedReader(cast(io.RawIOBase, _ArrowStream(stream)))
    elif name == "snappy":
        from framework.input_files.snappy_frames import SnappyFrames

        yield io.BufferedReader(cast(io.RawIOBase, SnappyFrames(raw)))
    elif name in {form for _, form in JAVA_MAGIC}:
        yield io.BufferedReader(cast(io.RawIOBase, JavaBlocks(raw, name)))
    else:
        yield raw


class _ArrowStream(io.RawIOBase):
    """A stream of Arrow as Python's own readers want it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
