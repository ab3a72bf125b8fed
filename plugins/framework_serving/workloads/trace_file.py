"""Reading a trace: CSV or JSONL, gzipped or not, into arrays; every bad row is named by file and line."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from framework.errors import InputError, did_you_mean
from framework_serving.workloads.settings import TraceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]

MAX_TOKENS = 10_000_000  # a larger count in a trace is a wrong column


@dataclass(frozen=True)
class Trace:
    """A trace as read, rows in order of arrival.

    Attributes:
        arrivals: in the trace's own clock and unit; None if it has none.
        inputs, outputs: tokens.
        adapters: adapter name, or None for the base model.
        hash_ids: prefix blocks of each prompt, or None if the trace has none.
        left_out: rows that could not be read (with `skip_bad_rows`).
    """

    arrivals: npt.NDArray[np.float64] | None
    inputs: IntArray
    outputs: IntArray
    adapters: list[str | None]
    hash_ids: list[list[int]] | None
    left_out: int = 0

    def take(self, rows: IntArray) -> Trace:
        """Return the trace with these rows only."""
        return Trace(
            None if self.arrivals is None else self.arrivals[rows],
            self.inputs[rows],
            self.outputs[rows],
            [self.adapters[row] for row in rows],
            None if self.hash_ids is None else [self.hash_ids[row] for row in rows],
            self.left_out,
        )


@dataclass(frozen=True)
class _Row:
    line: int
    arrival: float | None
    inputs: int
    outputs: int
    adapter: str | None
    hash_ids: list[int] | None


class TraceReader:
    """Reads one file with the columns, format and tolerance of the settings."""

    def __init__(self, file: Path, settings: TraceSettings) -> None:
        self._file, self._settings, self._columns = file, settings, settings.columns

    def read(self) -> Trace:
        """Return the trace. Raises `InputError` naming file, line and column."""
        rows, left_out = self._rows()
        if not rows:
            raise InputError(f"{self._file}: no request in it")
        if self._columns.arrival is not None:
            rows = self._in_order(rows)
        return _as_trace(rows, left_out)

    def _rows(self) -> tuple[list[_Row], int]:
        rows: list[_Row] = []
        left_out = 0
        try:
            with self._open() as lines:
                for line, record in self._records(lines):
                    try:
                        rows.append(self._row(line, record))
                    except InputError:
                        if not self._settings.skip_bad_rows:
                            raise
                        left_out += 1
        except FileNotFoundError:
            raise InputError(f"workload.file: no such file '{self._file}'") from None
        except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{self._file}: can't be read: {error or type(error).__name__}") from error
        return rows, left_out

    def _open(self) -> TextIO:
        if self._file.suffix == ".gz":
            return gzip.open(self._file, "rt", encoding="utf-8-sig", newline="")
        return self._file.open("rt", encoding="utf-8-sig", newline="")

    def _records(self, lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (line number in the file, values by column)."""
        form = self._settings.format
        if form == "auto":
            form = "jsonl" if ".jsonl" in "".join(self._file.suffixes) else "csv"
        return self._json_records(lines) if form == "jsonl" else self._csv_records(lines)

    def _csv_records(self, lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
        reader = csv.reader(lines)
        header = next(reader, None)
        if header is None:
            raise InputError(f"{self._file}: empty file")
        for role, column in vars(self._columns).items():
            if column is not None and column not in header:
                raise InputError(
                    f"{self._file}, line 1: no column '{column}' (workload.columns.{role})"
                    f"{did_you_mean(column, header)}"
                )
        for values in reader:
            if not values:
                continue
            record: dict[str, Any] = dict(zip(header, values, strict=False))
            yield reader.line_num, record

    def _json_records(self, lines: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except ValueError as error:
                record = {"": f"not JSON: {error}"}
            yield line, record if isinstance(record, dict) else {"": "not a JSON object"}

    def _row(self, line: int, record: dict[str, Any]) -> _Row:
        if "" in record and self._columns.input not in record:
            raise InputError(f"{self._file}, line {line}: {record['']}")
        columns = self._columns
        arrival = None
        if columns.arrival is not None:
            arrival = self._number(line, record, columns.arrival)
            if arrival < 0:
                raise InputError(
                    f"{self._file}, line {line}: column '{columns.arrival}' is negative: {arrival:g}"
                )
        return _Row(
            line,
            arrival,
            self._tokens(line, record, columns.input),
            self._tokens(line, record, columns.output),
            self._adapter(record),
            None if columns.hash_ids is None else self._hashes(line, record, columns.hash_ids),
        )

    def _value(self, line: int, record: dict[str, Any], column: str) -> Any:
        if column not in record:
            raise InputError(f"{self._file}, line {line}: no '{column}' in it{did_you_mean(column, record)}")
        return record[column]

    def _number(self, line: int, record: dict[str, Any], column: str) -> float:
        value = self._value(line, record, column)
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = float("nan")
        if isinstance(value, bool) or not abs(found) < float("inf"):
            raise InputError(f"{self._file}, line {line}: column '{column}' is not a number: {value!r}")
        return found

    def _tokens(self, line: int, record: dict[str, Any], column: str) -> int:
        found = self._number(line, record, column)
        if found != int(found) or not 1 <= found <= MAX_TOKENS:
            raise InputError(
                f"{self._file}, line {line}: column '{column}' must be a whole number of tokens from 1, got {found:g}"
            )
        return int(found)

    def _adapter(self, record: dict[str, Any]) -> str | None:
        value = None if self._columns.adapter is None else record.get(self._columns.adapter)
        return None if value is None or value == "" else str(value)

    def _hashes(self, line: int, record: dict[str, Any], column: str) -> list[int]:
        value = self._value(line, record, column)
        try:
            items = json.loads(value) if isinstance(value, str) and value.startswith("[") else value
            items = items.split() if isinstance(items, str) else items
            return [int(item) for item in items]
        except (TypeError, ValueError):
            raise InputError(
                f"{self._file}, line {line}: column '{column}' is not a list of block ids"
            ) from None

    def _in_order(self, rows: list[_Row]) -> list[_Row]:
        if self._settings.sort:
            return sorted(rows, key=lambda row: row.arrival or 0.0)
        for before, row in pairwise(rows):
            if (row.arrival or 0.0) < (before.arrival or 0.0):
                raise InputError(
                    f"{self._file}, line {row.line}: arrival {row.arrival:g} is earlier than the arrival "
                    f"before it ({before.arrival:g}); sort the file or set workload.sort=true"
                )
        return rows


def _as_trace(rows: list[_Row], left_out: int) -> Trace:
    import numpy as np

    arrivals = None if rows[0].arrival is None else np.array([row.arrival for row in rows], dtype=np.float64)
    hashes = None if rows[0].hash_ids is None else [row.hash_ids or [] for row in rows]
    return Trace(
        arrivals,
        np.array([row.inputs for row in rows], dtype=np.int64),
        np.array([row.outputs for row in rows], dtype=np.int64),
        [row.adapter for row in rows],
        hashes,
        left_out,
    )
