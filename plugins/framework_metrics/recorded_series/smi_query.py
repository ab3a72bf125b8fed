"""`import nvidia-smi FILE`: what `nvidia-smi --query-gpu=timestamp,index,power.draw,… --format=csv -l 1` printed.

Units stand in the header (`power.draw [W]`) and, without `nounits`, behind each value. What a GPU does not offer is
`[N/A]` or `[Not Supported]`: a missing value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from framework.contracts import ImportedRun
from framework.errors import InputError, did_you_mean
from framework.input_files.decimal_marks import decimal_mark, number_with
from framework.input_files.file_head import delimiter_of
from framework_metrics.recorded_series.imported import imported_run
from framework_metrics.recorded_series.lines import check_width, kind_of, reading, take_lines
from framework_metrics.recorded_series.ticks import Ticks

QUANTITIES = {
    "power.draw.instant": "power_w",
    "power.draw.average": "power_average_w",
    "power.draw": "power_w",
    "utilization.gpu": "util_pct",
    "utilization.memory": "memory_util_pct",
    "memory.used": "memory_used_mib",
    "clocks.sm": "sm_clock_mhz",
    "clocks.current.sm": "sm_clock_mhz",
    "clocks.mem": "memory_clock_mhz",
    "clocks.current.memory": "memory_clock_mhz",
    "temperature.gpu": "temperature_c",
    "temperature.memory": "memory_temperature_c",
    "clocks_throttle_reasons.active": "throttle_reasons",
    "clocks_event_reasons.active": "throttle_reasons",
}
"""Our quantity by field. `power.draw.instant` is preferred: `power.draw` is a 1 s average on most recent GPUs."""

_UNITS = {"mW": 1e-3, "W": 1.0, "%": 1.0, "MHz": 1.0, "GHz": 1e3, "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
_CELL = re.compile(r"(0x[0-9a-fA-F]+|-?[\d.,]+(?:e[+-]?\d+)?)\s*([A-Za-z%]*)")
_IDENTITY = ("index", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial", "hostname")
"""Fields that tell GPUs apart; all of a file's together."""
_TIMES = ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")


def _present(text: str) -> bool:
    """Say whether a cell contains a reading: not empty, `N/A`, or a reason in brackets."""
    return bool(text) and text not in ("N/A", "-") and not text.startswith("[")


def read_smi_query(file: Path, grid: str | None = None) -> Iterator[ImportedRun]:
    """Yield the one run of a file.

    Raises:
        InputError: no header, no timestamp, or an invalid value; names file and line.
    """
    reader = _Reader()
    rows, notes = take_lines(file, reader.take)
    header = reader.header
    if header is None or not rows:
        raise InputError(f"{file}: no row of `nvidia-smi --query-gpu` in it")
    ticks = reader.ticks(file)
    yield imported_run(
        "nvidia-smi",
        file,
        ticks.recording(f"nvidia-smi {header.power_field or 'power.draw'}"),
        notes=[*notes, *reader.notes],
        grid=grid,
    )


class _Reader:
    """Takes lines; the columns that count are chosen when all are known."""

    def __init__(self) -> None:
        self.header: _Header | None = None
        self.notes: list[str] = []
        self._rows: list[tuple[int, list[str]]] = []
        self._delimiter, self._lines = ",", 0

    def take(self, line: str) -> bool:
        """Take the header, which may come again, or a row; say whether it was a row."""
        self._lines += 1
        if self.header is None:
            self._delimiter = delimiter_of(line)
        form = csv.reader([line], skipinitialspace=True, delimiter=self._delimiter)
        cells = [cell.strip() for cell in next(form)]
        if self.header is None or cells[0] == self.header.names[0]:
            self.header = self.header or _Header.of(cells)
            return False
        check_width(cells, self.header.names, "fields")
        self.header.check(cells)
        self._rows.append((self._lines, cells))
        return True

    def ticks(self, file: Path) -> Ticks:
        """Return the readings of all rows. Raises `InputError` naming the line of the first bad one."""
        header, ticks = self.header, Ticks()
        assert header is not None
        try:
            header.choose([cells for _, cells in self._rows], self._delimiter)
        except ValueError as error:
            raise InputError(f"{file}: {error}") from None
        begin = last = None
        summer = timedelta(0)
        for number, cells in self._rows:
            try:
                now = header.time(cells) + summer
                if last is not None and _NEAR_HOUR < last - now <= _HOUR:
                    summer += _HOUR  # a clock that was set back at the end of summer time
                    now += _HOUR
                    self.notes.append(
                        f"the clock goes back by an hour in line {number}: the end of summer time"
                    )
                begin, last = begin or now, now
                label = header.label(cells)
                ticks.add((now - begin).total_seconds(), label, header.values(cells), **header.facts(cells))
            except ValueError as error:
                raise InputError(f"{file}, line {number}: {error}") from None
        return ticks


_HOUR = timedelta(hours=1)
_NEAR_HOUR = timedelta(minutes=59)


class _Header:
    """The columns of a file, and what is where."""

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        self.names, self._units = list(names), list(units)
        fields = {name: place for place, name in enumerate(names)}
        self._places: dict[str, int] = {}
        self._mark: str | None = "."
        self.power_field: str | None = None
        self._time = fields.get("timestamp")
        self._identity = [fields[name] for name in _IDENTITY if name in fields]
        self._index = fields.get("index")
        self._labels: dict[tuple[str, ...], str] = {}
        self._fields = fields

    @classmethod
    def of(cls, cells: Sequence[str]) -> _Header:
        """Read the first line. Raises `ValueError` if it is not a header, or has no time."""
        parts = [re.fullmatch(r"([^\[]*?)\s*(?:\[(.*)\])?", cell) for cell in cells]
        names = [part[1] if part else cell for part, cell in zip(parts, cells, strict=True)]
        header = cls(names, [part[2] or "" if part else "" for part in parts])
        if not set(names) & set(QUANTITIES):
            hint = kind_of(", ".join(cells)) or " (was it written with `noheader`?)"
            raise ValueError(f"no header with fields of --query-gpu{hint}")
        if header._time is None:
            raise ValueError(f"no field 'timestamp' among --query-gpu{did_you_mean('timestamp', names)}")
        return header

    def check(self, cells: Sequence[str]) -> None:
        """Raise `ValueError` for a row whose time or index can't be read."""
        self.time(cells)
        if self._index is not None and not cells[self._index].isdigit():
            raise ValueError(f"index {cells[self._index]!r} is not a number")
        for name, place in self._fields.items():
            if name in QUANTITIES and _present(cells[place]) and not _CELL.fullmatch(cells[place]):
                raise ValueError(f"{name}: {cells[place]!r} is not a number")

    def choose(self, rows: Sequence[Sequence[str]], delimiter: str) -> None:
        """Choose the field of each quantity: the preferred one that has values, not the one that is only named.

        Raises `ValueError` for numbers with decimal points and decimal commas.
        """
        counts = {
            name: sum(_present(cells[place]) for cells in rows)
            for name, place in self._fields.items()
            if name in QUANTITIES
        }
        for quantity in dict.fromkeys(QUANTITIES.values()):
            offered = [name for name, of in QUANTITIES.items() if of == quantity and name in counts]
            most = max((counts[name] for name in offered), default=0)
            chosen = next((name for name in offered if 2 * counts[name] >= most), None)
            if chosen is not None:
                self._places[quantity] = self._fields[chosen]
                if quantity == "power_w":
                    self.power_field = chosen
        if delimiter != ",":
            numbers = (
                match[1]
                for cells in rows
                for place in self._places.values()
                if (match := _CELL.fullmatch(cells[place])) and not match[1].startswith("0x")
            )
            self._mark = decimal_mark(numbers) or "."

    def time(self, cells: Sequence[str]) -> datetime:
        """Return the time of a row; one with a zone in UTC."""
        text = cells[self._time or 0]
        for form in _TIMES:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"timestamp {text!r} is not a date and time (expected YYYY/MM/DD HH:MM:SS.mmm)"
            ) from None
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found

    def label(self, cells: Sequence[str]) -> str:
        """Return the label of a row's GPU: all that names it, since GPUs of two hosts have the same index."""
        if not self._identity:
            return "gpu0"
        key = tuple(cells[place] for place in self._identity)
        if key not in self._labels:
            taken = set(self._labels.values())
            wished = f"gpu{cells[self._index]}" if self._index is not None else "gpu0"
            free = (f"gpu{number}" for number in range(len(taken) + 1) if f"gpu{number}" not in taken)
            self._labels[key] = wished if wished not in taken else next(free)
        return self._labels[key]

    def facts(self, cells: Sequence[str]) -> Mapping[str, str]:
        """Return name and UUID of a row's GPU, if the file contains them."""
        told = {"name": "name", "gpu_name": "name", "uuid": "uuid", "gpu_uuid": "uuid"}
        return {fact: cells[self._fields[name]] for name, fact in told.items() if name in self._fields}

    def values(self, cells: Sequence[str]) -> Mapping[str, float]:
        """Return the readings of a row by quantity, without those that are missing."""
        found = {}
        for quantity, place in self._places.items():
            text = cells[place]
            if not _present(text):
                continue
            match = _CELL.fullmatch(text)
            if match is None:
                raise ValueError(f"{self.names[place]}: {text!r} is not a number")
            unit = match[2] or self._units[place]
            if unit and unit not in _UNITS:
                raise ValueError(
                    f"{self.names[place]}: unit {unit!r} is not known{did_you_mean(unit, _UNITS)}"
                )
            plain = match[1] if match[1].startswith("0x") else repr(number_with(match[1], self._mark))
            value = _UNITS.get(unit, 1.0) * reading(plain, self.names[place])
            found[quantity] = reading(repr(value), quantity)
        return found
