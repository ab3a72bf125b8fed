"""From the rows of a trace to arrays: whole columns at once, and row by row only where one of them is bad."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import InputError, did_you_mean
from framework_serving.workloads.recorded.trace_formats import TraceFormat
from framework_serving.workloads.recorded.trace_texts import TextLengths
from framework_serving.workloads.settings import TraceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]

MAX_TOKENS = 10_000_000  # a larger count in a trace is a wrong column
LATEST_S = 1e12  # some 30,000 years: another unit than it is said to be
SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Part:
    """Rows of a chunk as arrays; what the trace does not have is None."""

    lines: IntArray
    arrivals: FloatArray | None
    inputs: IntArray
    outputs: IntArray
    adapters: list[str | None] | None
    hash_ids: list[list[int]] | None
    ids: list[str] | None
    parents: list[str] | None


class Cells:
    """Parses the rows of one file.

    Attributes:
        left_out: rows that could not be read and were left out.
        failed: rows of requests that failed when the trace was taken.
        first_error: of the rows left out.
    """

    def __init__(
        self,
        file: Path,
        settings: TraceSettings,
        form: TraceFormat,
        names: Sequence[str],
        decimal_comma: bool,
    ) -> None:
        self._file, self._settings, self._form = file, settings, form
        self._comma, self._width = decimal_comma, len(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._begin: float | None = None
        self._zoned: bool | None = None
        self._dated: bool | None = None
        self._unit = SECONDS_PER_UNIT[form.time_unit]
        self._texts = TextLengths.of(settings) if form.text else None
        self.left_out = self.failed = 0
        self.first_error = ""

    @property
    def dated(self) -> bool:
        """Whether arrivals are dates; then they count from the first row's."""
        return bool(self._dated)

    def parsed(self, lines: list[int], records: list[Any]) -> Part:
        """Return the rows. Raises `InputError` naming line and column, unless bad rows are to be left out."""
        try:
            return self._at_once(lines, records)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError):
            pass  # some row is bad: find it
        good: list[int] = []
        for row, (line, record) in enumerate(zip(lines, records, strict=True)):
            try:
                self._check_row(record)
            except ValueError as error:
                told = f"{self._file}, line {line}: {' '.join(str(error).split())}"
                if not self._settings.skip_bad_rows:
                    raise InputError(told) from None
                self.left_out += 1
                self.first_error = self.first_error or told
            else:
                good.append(row)
        return self._at_once([lines[row] for row in good], [records[row] for row in good])

    def _at_once(self, lines: list[int], records: list[Any]) -> Part:
        """Return all rows as arrays. Raises some error if one of them is bad."""
        import numpy as np

        columns = self._form.columns
        if any(len(record) != self._width for record in records if isinstance(record, list)):
            raise ValueError
        tokens: list[npt.NDArray[np.float64]]
        if self._texts is not None:
            tokens = self._texts.lengths(records)
        else:
            tokens = [
                self._numbers(self._column(records, str(name))) for name in (columns.input, columns.output)
            ]
        inputs, outputs = tokens
        keep = np.ones(len(records), dtype=bool)
        if self._form.failed_outputs:
            keep = outputs != 0
        for values in tokens:
            kept = values[keep]
            if not ((kept >= 1) & (kept <= MAX_TOKENS) & (kept == np.floor(kept))).all():
                raise ValueError
        arrivals = self._arrivals(records)
        hashes = self._hash_lists(records)
        if hashes is not None:
            for row, ids in enumerate(hashes):
                if keep[row]:
                    self._check_blocks(int(inputs[row]), ids)
        self.failed += int((~keep).sum())
        chosen = np.flatnonzero(keep)

        def texts(name: str | None) -> list[str] | None:
            return None if name is None else [str(value) for value in self._column(records, name)]

        def kept_of(values: list[Any] | None) -> list[Any] | None:
            return values if values is None or keep.all() else [values[row] for row in chosen]

        adapters = None if columns.adapter is None else [self._adapter(record) for record in records]
        return Part(
            np.asarray(lines, dtype=np.int64)[keep],
            None if arrivals is None else arrivals[keep],
            inputs[keep].astype(np.int64),
            outputs[keep].astype(np.int64),
            kept_of(adapters),
            kept_of(hashes),
            kept_of(texts(columns.id)),
            kept_of(texts(columns.parent)),
        )

    def _column(self, records: list[Any], name: str) -> list[Any]:
        if records and isinstance(records[0], list):
            place = self._place[name]
            return [record[place] for record in records]
        return [record[name] for record in records]

    def _numbers(self, values: list[Any]) -> FloatArray:
        import numpy as np

        kinds = set(map(type, values))
        if kinds - {int, float, str} or (str in kinds and (len(kinds) > 1 or "_" in "".join(values))):
            raise ValueError
        found: FloatArray = (np.array(values) if str in kinds else np.array(values, dtype=float)).astype(
            float
        )
        if not np.isfinite(found).all():
            raise ValueError
        return found

    def _arrivals(self, records: list[Any]) -> FloatArray | None:
        """Return arrivals in seconds: numbers by their unit, dates from the first one."""
        import numpy as np

        name = self._form.columns.arrival
        if name is None:
            return None
        values = self._column(records, name)
        if self._dated is None and values:
            self._dated = _looks_like_date(values[0])
        if self._dated:
            return np.array([self._date(value) for value in values])
        if self._comma:
            values = [value.replace(",", ".") for value in values]
        found = self._numbers(values) * self._unit
        if ((found < 0) | (found > LATEST_S)).any():
            raise ValueError
        return found

    def _date(self, text: str) -> float:
        """Return seconds from the first date; without a zone it is read as UTC, and all dates must be of one sort."""
        moment = datetime.fromisoformat(text.strip())
        zoned = moment.tzinfo is not None
        if self._zoned is None:
            self._zoned = zoned
        if zoned != self._zoned:
            raise ValueError("some dates have a time zone and some have none")
        plain = moment.astimezone(UTC).replace(tzinfo=None) if zoned else moment
        seconds = (plain - _EPOCH).total_seconds()
        if self._begin is None:
            self._begin = seconds
        return seconds - self._begin

    def _hash_lists(self, records: list[Any]) -> list[list[int]] | None:
        name = self._form.columns.hash_ids
        return None if name is None else [_block_ids(value) for value in self._column(records, name)]

    def _check_blocks(self, tokens: int, ids: list[int]) -> None:
        """Raise `ValueError` if so many blocks don't fit so many tokens: a wrong block size or a damaged row.

        A published format names all blocks of a prompt; a trace of somebody's own may name those that are shared.
        """
        full, size = tokens // self._form.block_tokens, self._form.block_tokens
        whole = -(-tokens // size)
        least = 0 if self._form.name == "columns" else full
        if not least <= len(ids) <= whole:
            raise ValueError(
                f"column '{self._form.columns.hash_ids}' has {len(ids)} blocks, but {tokens} input tokens make "
                f"{whole} blocks of {size} (workload.hash_block_tokens)"
            )

    def _adapter(self, record: Any) -> str | None:
        name = str(self._form.columns.adapter)
        value = record[self._place[name]] if isinstance(record, list) else record.get(name)
        return None if value is None or value == "" else str(value)

    def _check_row(self, record: Any) -> None:
        """Raise `ValueError`, naming the column, for a row that can't be read."""
        columns = self._form.columns
        if isinstance(record, str):
            raise ValueError(record)
        if isinstance(record, list) and self._place and len(record) != self._width:
            raise ValueError(f"{self._width} columns expected, {len(record)} found")
        if not isinstance(record, dict) and not self._place:
            raise ValueError("not a JSON object")
        if columns.arrival is not None:
            self._check_arrival(record, columns.arrival)
        if self._texts is not None:
            self._texts.check(record)
            return
        inputs = self._tokens(record, str(columns.input), 1)
        outputs = self._tokens(record, str(columns.output), 0 if self._form.failed_outputs else 1)
        if columns.hash_ids is not None and outputs:
            try:
                ids = _block_ids(self._value(record, columns.hash_ids))
            except (TypeError, ValueError):
                raise ValueError(f"column '{columns.hash_ids}' is not a list of block ids") from None
            self._check_blocks(inputs, ids)
        for name in (columns.id, columns.parent):
            if name is not None:
                self._value(record, name)

    def _check_arrival(self, record: Any, name: str) -> None:
        value = self._value(record, name)
        if self._dated:
            try:
                self._date(str(value))
            except ValueError as error:
                reason = f": {error}" if "zone" in str(error) else ""
                raise ValueError(f"column '{name}' is not a date and time: {value!r}{reason}") from None
            return
        try:
            found = _number(value.replace(",", ".") if self._comma and isinstance(value, str) else value)
        except ValueError:
            raise ValueError(f"column '{name}' is not a number: {value!r}") from None
        if found < 0:
            raise ValueError(f"column '{name}' is negative: {found:g}")
        if found * self._unit > LATEST_S:
            raise ValueError(
                f"column '{name}' is not a time in {self._form.time_unit}: {value!r} (workload.time_unit)"
            )

    def _value(self, record: Any, name: str) -> Any:
        if isinstance(record, list):
            return record[self._place[name]]
        if name not in record:
            raise ValueError(f"no '{name}' in it{did_you_mean(name, record)}")
        return record[name]

    def _tokens(self, record: Any, name: str, least: int) -> int:
        value = self._value(record, name)
        try:
            found = _number(value)
        except ValueError:
            raise ValueError(f"column '{name}' is not a number: {value!r}") from None
        if found != int(found) or not least <= found <= MAX_TOKENS:
            raise ValueError(f"column '{name}' must be a whole number of tokens from {least}, got {found:g}")
        return int(found)


def _number(value: Any) -> float:
    """Return a cell as a finite number. Raises `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    if isinstance(value, str) and "_" in value:
        raise ValueError
    try:
        found = float(value)
    except OverflowError:
        raise ValueError from None
    if not abs(found) < float("inf"):
        raise ValueError
    return found


def _looks_like_date(value: Any) -> bool:
    return isinstance(value, str) and value.count("-") >= 2 and value.strip()[:4].isdigit()


def _block_ids(value: Any) -> list[int]:
    items = json.loads(value) if isinstance(value, str) and value.startswith("[") else value
    items = items.split() if isinstance(items, str) else items
    try:
        found = [int(item) for item in items]
    except OverflowError:
        raise ValueError from None
    if any(abs(item) >= 1 << 63 for item in found):
        raise ValueError
    return found
