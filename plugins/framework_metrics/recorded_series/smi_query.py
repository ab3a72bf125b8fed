"""`import nvidia-smi FILE`: what `nvidia-smi --query-gpu=timestamp,index,power.draw,… --format=csv -l 1` printed.

Units stand in the header (`power.draw [W]`) and, without `nounits`, behind each value. What a GPU does not offer is
`[N/A]` or `[Not Supported]`: a missing value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from framework.contracts import ImportedRun
from framework.errors import InputError, did_you_mean
from framework_metrics.recorded_series.imported import imported_run
from framework_metrics.recorded_series.lines import kind_of, numbered_lines, reading
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
_CELL = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?|0x[0-9a-fA-F]+)\s*([A-Za-z%]*)")
_TIMES = ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")


def read_smi_query(file: Path) -> Iterator[ImportedRun]:
    """Yield the one run of a file.

    Raises:
        InputError: no header, no timestamp, or an invalid value; names file and line.
    """
    ticks, header, begin, rows = Ticks(), None, None, 0
    for number, line in numbered_lines(file):
        cells = [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
        try:
            if header is None or cells[0] == header.names[0]:
                header = header or _Header.of(cells)
                continue
            now = header.time(cells)
            begin = begin or now
            ticks.add(
                (now - begin).total_seconds(),
                header.label(cells),
                header.values(cells),
                **header.facts(cells),
            )
        except ValueError as error:
            raise InputError(f"{file}, line {number}: {error}") from None
        rows += 1
    if header is None or not rows:
        raise InputError(f"{file}: no row of `nvidia-smi --query-gpu` in it")
    yield imported_run(
        "nvidia-smi", file, ticks.recording(f"nvidia-smi {header.power_field or 'power.draw'}")
    )


class _Header:
    """The columns of a file, and what is where."""

    def __init__(self, names: Sequence[str], units: Sequence[str]) -> None:
        self.names, self._units = list(names), list(units)
        fields = {name: place for place, name in enumerate(names)}
        self._places: dict[str, int] = {}
        self.power_field: str | None = None
        for name, quantity in QUANTITIES.items():
            if name in fields and quantity not in self._places:
                self._places[quantity] = fields[name]
                if quantity == "power_w":
                    self.power_field = name
        self._time = fields.get("timestamp")
        self._identity = next(
            (fields[name] for name in ("index", "uuid", "gpu_uuid", "pci.bus_id") if name in fields), None
        )
        self._labels: dict[str, str] = {}
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

    def time(self, cells: Sequence[str]) -> datetime:
        """Return the time of a row."""
        if len(cells) != len(self.names):
            raise ValueError(f"{len(cells)} values under {len(self.names)} fields")
        text = cells[self._time or 0]
        for form in _TIMES:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        raise ValueError(f"timestamp {text!r} is not a date and time (expected YYYY/MM/DD HH:MM:SS.mmm)")

    def label(self, cells: Sequence[str]) -> str:
        """Return the label of a row's GPU: by index, else numbered as they come."""
        if self._identity is None:
            return "gpu0"
        text = cells[self._identity]
        if self.names[self._identity] == "index":
            if not text.isdigit():
                raise ValueError(f"index {text!r} is not a number")
            return f"gpu{text}"
        return self._labels.setdefault(text, f"gpu{len(self._labels)}")

    def facts(self, cells: Sequence[str]) -> Mapping[str, str]:
        """Return name and UUID of a row's GPU, if the file contains them."""
        told = {"name": "name", "gpu_name": "name", "uuid": "uuid", "gpu_uuid": "uuid"}
        return {fact: cells[self._fields[name]] for name, fact in told.items() if name in self._fields}

    def values(self, cells: Sequence[str]) -> Mapping[str, float]:
        """Return the readings of a row by quantity, without those that are missing."""
        found = {}
        for quantity, place in self._places.items():
            text = cells[place]
            if not text or text in ("N/A", "-") or text.startswith("["):
                continue
            match = _CELL.fullmatch(text)
            if match is None:
                raise ValueError(f"{self.names[place]}: {text!r} is not a number")
            unit = match[2] or self._units[place]
            if unit and unit not in _UNITS:
                raise ValueError(
                    f"{self.names[place]}: unit {unit!r} is not known{did_you_mean(unit, _UNITS)}"
                )
            value = _UNITS.get(unit, 1.0) * reading(match[1], self.names[place])
            found[quantity] = reading(repr(value), quantity)
        return found
