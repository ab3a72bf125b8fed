"""What a file says of itself in its first bytes: what importers are asked with."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework.input_files.opening import HEAD_BYTES, compression_of, encoding_of, opened_bytes, opened_text

_DELIMITERS = (",", ";", "\t", "|")


class FileHead:
    """The start of a file.

    Attributes:
        path: of the file.
        compression: `gzip`, `zstd` …; "" for none.
        encoding: of its text; None for what is no text.
        data: its first bytes (at most 64 KiB), decompressed.

    Raises `InputError` on creation for a file that does not exist or can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise InputError(f"'{path}' is a folder, not a file")
        if not path.is_file():
            raise InputError(f"file '{path}' does not exist or is not a regular file")
        with opened_bytes(path) as stream:
            self.data = stream.read(HEAD_BYTES)
        self.compression = compression_of(path)
        self.encoding = encoding_of(self.data) if self.data else None

    @cached_property
    def text(self) -> str:
        """The start as text; "" for what is none. A character that the limit cuts in two is left out."""
        return "" if self.encoding is None else self.data.decode(self.encoding, errors="ignore")

    @cached_property
    def lines(self) -> Sequence[str]:
        """The lines of the start that are not empty; the last one may be cut."""
        return [line for line in self.text.splitlines() if line.strip()]

    @cached_property
    def columns(self) -> Sequence[str]:
        """The cells of the first line, by the delimiter that splits it most often."""
        if not self.lines:
            return ()
        first = self.lines[0]
        return [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter_of(first)))]

    @cached_property
    def record(self) -> dict[str, Any]:
        """The first line as a JSON object; empty for what is none."""
        if not self.lines or not self.lines[0].lstrip().startswith("{"):
            return {}
        line = self.lines[0]
        if len(self.lines) == 1 and len(self.data) >= HEAD_BYTES:
            with opened_text(self.path) as text:  # a line longer than the start
                line = text.readline()
        return _object(line)

    @cached_property
    def document(self) -> Any:
        """The whole file as one JSON document; None if it is none."""
        if self.text.lstrip()[:1] not in ("{", "["):
            return None
        with opened_text(self.path) as text:
            try:
                return json.load(text)
            except (ValueError, RecursionError):
                return None

    @property
    def keys(self) -> frozenset[str]:
        """The names at the top of a JSON document, or of the first object of JSON lines."""
        found = self.record or self.document
        return frozenset(found) if isinstance(found, dict) else frozenset()

    def describe(self) -> str:
        """Return in words what the file looks like to somebody who knows no format."""
        packed = f"{self.compression}, " if self.compression else ""
        if not self.data:
            return "an empty file"
        if self.encoding is None:
            return f"{packed}no text"
        if self.keys:
            return f"{packed}JSON with the keys {_some(sorted(self.keys))}"
        if self.text.lstrip()[:1] in ("{", "["):
            whole = "JSON" if self.document is not None else "not complete or valid JSON"
            return f"{packed}{whole}"
        return f"{packed}text whose first line has the cells {_some(self.columns)}"


def delimiter_of(line: str) -> str:
    """Return the delimiter of a header line: of comma, semicolon, tab and bar the most frequent."""
    return max(_DELIMITERS, key=lambda one: (line.count(one), -_DELIMITERS.index(one)))


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(name[:40] for name in names[:most])
    return shown + (f" … ({len(names)} in all)" if len(names) > most else "")


def json_records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line where it begins, value) of a JSON document, or of JSON lines.

    Raises:
        InputError: what is no JSON, or breaks off; names file, line and column.
    """
    with opened_text(path) as text:
        content = text.read()
    decoder, place, line, empty = json.JSONDecoder(object_pairs_hook=_each_once), 0, 1, True
    while True:
        begin = place
        while place < len(content) and content[place].isspace():
            place += 1
        line += content.count("\n", begin, place)
        if place == len(content):
            break
        try:
            value, end = decoder.raw_decode(content, place)
        except json.JSONDecodeError as error:
            ends = error.pos >= len(content.rstrip())
            what = "breaks off" if ends else "is not JSON"
            raise InputError(
                f"{path}, line {error.lineno}, column {error.colno}: {what}: {error.msg}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {line}: is not JSON: {error}") from None
        yield line, value
        line += content.count("\n", place, end)
        place, empty = end, False
    if empty:
        raise InputError(f"{path}: is empty")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Raises `ValueError` if a key stands in it twice: which of the two values counts?"""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"key '{next(name for name in names if names.count(name) > 1)}' occurs twice in an object"
        )
    return found
