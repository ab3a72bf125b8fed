"""The rows of a trace as they are in the file: CSV with any separator, JSON lines, or one JSON array."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import InputError, did_you_mean
from framework.input_files.file_head import FileHead, delimiter_of, json_records
from framework.input_files.opening import opened_text
from framework_serving.workloads.settings import TraceSettings

if TYPE_CHECKING:
    from framework_serving.workloads.recorded.trace_formats import TraceFormat

Chunk = tuple[list[int], list[Any]]


class TraceRows:
    """One file's rows.

    Attributes:
        names: columns of the header, or keys of the first record.
        kind: `csv`, `jsonl` or `json`.
        decimal_comma: numbers have a comma before their fraction: fields are separated by semicolons.
    """

    def __init__(self, file: Path, settings: TraceSettings) -> None:
        if not file.exists():
            raise InputError(f"workload.file: no such file '{file}'")
        self._file = file
        head = FileHead(file)
        if not head.data:
            raise InputError(f"{file}: empty file")
        self.kind = settings.format if settings.format != "auto" else _kind(head)
        self._delimiter = delimiter_of(head.lines[0]) if self.kind == "csv" and head.lines else ","
        self.decimal_comma = self._delimiter == ";"
        self.names: tuple[str, ...] = self._names(head)

    def _names(self, head: FileHead) -> tuple[str, ...]:
        if self.kind == "csv":
            with opened_text(self._file) as lines:
                cells = next(csv.reader(lines, delimiter=self._delimiter, skipinitialspace=True), [])
            names = tuple(cell.strip() for cell in cells)
            twice = next((name for name in names if name and names.count(name) > 1), None)
            if twice is not None:
                raise InputError(f"{self._file}, line 1: column '{twice}' occurs twice")
            return names
        if self.kind == "jsonl":
            return tuple(head.record)
        first = head.document[0] if isinstance(head.document, list) and head.document else {}
        return tuple(first) if isinstance(first, dict) else ()

    def check_columns(self, form: TraceFormat) -> None:
        """Raise `InputError` for a column that the header of a CSV file lacks, naming its setting."""
        if self.kind != "csv":
            return
        for role, column in vars(form.columns).items():
            if column is not None and column not in self.names:
                raise InputError(
                    f"{self._file}, line 1: no column '{column}' (workload.columns.{role})"
                    f"{did_you_mean(column, self.names)}"
                )

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Yield (line numbers, rows) of at most so many rows: a list of cells (CSV), or what JSON holds."""
        rows = {"csv": self._cells, "jsonl": self._lines, "json": self._items}[self.kind]()
        lines: list[int] = []
        records: list[Any] = []
        for line, record in rows:
            lines.append(line)
            records.append(record)
            if len(lines) >= size:
                yield lines, records
                lines, records = [], []
        if lines:
            yield lines, records

    def _cells(self) -> Iterator[tuple[int, Any]]:
        with opened_text(self._file) as text:
            reader = csv.reader(text, delimiter=self._delimiter, skipinitialspace=True)
            next(reader, None)
            try:
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
            except csv.Error as error:
                raise InputError(f"{self._file}, line {reader.line_num}: {error}") from error

    def _lines(self) -> Iterator[tuple[int, Any]]:
        with opened_text(self._file) as text:
            for line, content in enumerate(text, start=1):
                if not content.strip():
                    continue
                try:
                    yield line, json.loads(content)
                except (ValueError, RecursionError) as error:
                    yield line, f"not JSON: {error}"

    def _items(self) -> Iterator[tuple[int, Any]]:
        for line, value in json_records(self._file):
            for place, item in enumerate(value if isinstance(value, list) else [value], start=1):
                yield (place if isinstance(value, list) else line), item


def trace_format(head: FileHead) -> TraceFormat | None:
    """Return the format of a file by its header or first record: a published one, or our own columns; else None."""
    from framework_serving.workloads.recorded.trace_formats import OWN, detected

    if not head.text.strip():
        return None
    kind = _kind(head)
    if kind == "csv":
        names = frozenset(head.columns)
    else:
        first = head.document[0] if kind == "json" and head.document else head.record
        names = frozenset(first) if isinstance(first, dict) else frozenset()
    return detected(names) or (OWN if OWN.needed <= names else None)


def _kind(head: FileHead) -> str:
    start = head.text.lstrip()[:1]
    if start == "[" and isinstance(head.document, list) and not isinstance((head.document or [0])[0], int):
        return "json"
    if start in ("{", "["):
        return "jsonl"
    return "csv"
