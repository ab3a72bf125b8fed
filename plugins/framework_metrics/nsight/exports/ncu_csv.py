"""Read the pages of Nsight Compute as CSV: `ncu --import REPORT.ncu-rep --csv --page raw`, or without `--page`.

Raw: one row a launch, one column a metric, and a second header row with units, which change with the size of the
values (`byte`, `Kbyte` …): every value is brought to its base unit (bytes, seconds, operations, hertz). Details: one
row a metric of a launch, by names for people; those that mean a metric of the raw page are read.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.errors import InputError
from framework.input_files.decimal_marks import MixedMarksError, decimal_mark, number_with
from framework.input_files.opening import opened_text

_NAME = "Kernel Name"
_DURATION = "gpu__time_duration.sum"
_GPU_NAME = "device__attribute_display_name"
_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNIT = re.compile(
    r"([numKMGT]?)(?:second|sec|s|byte|hz|Hz|cycle|inst)s?(?:/([num]?)(?:second|sec|s))?(?:/.*)?$"
)


@dataclass(frozen=True)
class Launch:
    """One profiled launch.

    Attributes:
        kernel: the kernel's name.
        device: the GPU's name; "" if the page does not contain it.
        capability: compute capability as printed (`9.0`); "" if it is not.
        duration_s: its time.
        values: metric to value in base units; a metric without a number is missing.
        unread: metrics that are in the file but have no value for this launch.
    """

    kernel: str
    device: str
    capability: str
    duration_s: float
    values: Mapping[str, float]
    unread: frozenset[str] = frozenset()

    def first(self, *names: str) -> float | None:
        """Return the first of these metrics that the launch has."""
        return next((self.values[name] for name in names if name in self.values), None)

    def count(self, metric: str, cycles: str = "smsp__cycles_elapsed") -> float | None:
        """Return how often something happened: `metric.sum`, or its rate a cycle times the cycles of the launch."""
        total = self.values.get(f"{metric}.sum")
        if total is not None:
            return total
        rate = self.values.get(f"{metric}.sum.per_cycle_elapsed")
        clock_hz = self.values.get(f"{cycles}.avg.per_second")
        if rate is None or clock_hz is None:
            return None
        return rate * clock_hz * self.duration_s


def read_launches(path: Path) -> list[Launch]:
    """Read a raw page. Raises `InputError`, one line, naming file, row and column of what is wrong."""
    try:
        with opened_text(path) as stream:
            found = list(_launches(path, csv.reader(_table_lines(stream))))
    except csv.Error as error:
        raise InputError(f"{path}: can't be read: {error}") from error
    if not found:
        raise InputError(f"{path}: contains no kernel: no launch matched the filters of `ncu`")
    return found


def _table_lines(stream: Iterable[str]) -> Iterator[str]:
    """Yield the lines of the table; `ncu` and the program print messages into the same stream before it."""
    begun = False
    for line in stream:
        begun = begun or _NAME in line
        if begun and line.strip() and not line.startswith("=="):
            yield line


def _launches(path: Path, rows: Iterator[list[str]]) -> Iterator[Launch]:
    header = next(rows, [])
    if _NAME not in header:
        raise InputError(
            f"{path}: no column '{_NAME}': not a page of Nsight Compute; "
            "print it with: ncu --import REPORT.ncu-rep --csv --page raw"
        )
    repeated = next((name for name in header if name and header.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}: column '{repeated}' is in the header twice")
    if {"Metric Name", "Metric Unit", "Metric Value"} <= set(header):
        yield from _detailed(path, header, list(rows))
        return
    if _DURATION not in header:
        raise InputError(f"{path}: no column '{_DURATION}' (section SpeedOfLight measures it)")
    units = next(rows, [])
    if len(units) != len(header) or units[header.index(_NAME)]:
        raise InputError(f"{path}: no row of units below the header: not the raw page of Nsight Compute")
    factors = {name: _factor(path, name, unit) for name, unit in zip(header, units, strict=True)}
    shares = {name for name, unit in zip(header, units, strict=True) if unit == "%" and not _may_exceed(name)}
    table = list(rows)
    for number, row in enumerate(table, start=1):
        if len(row) != len(header):
            raise InputError(f"{path}, kernel {number}: {len(row)} values for {len(header)} columns")
    measured = [place for place, name in enumerate(header) if "__" in name]
    mark = _mark(path, (row[place] for row in table for place in measured))
    for number, row in enumerate(table, start=1):
        cells = dict(zip(header, row, strict=True))
        values = {
            name: value * factors[name]
            for name, text in cells.items()
            if (value := _number(path, number, name, text, mark if "__" in name else ".")) is not None
        }
        duration_s = values.get(_DURATION)
        if duration_s is None or duration_s <= 0:
            raise InputError(f"{path}, kernel {number}: '{_DURATION}' is not a time: {cells[_DURATION]!r}")
        for name in shares & values.keys():
            if values[name] > _MOST_PERCENT:
                raise InputError(f"{path}, kernel {number}: '{name}' is {cells[name]} %, more than the whole")
        unread = frozenset(name for name in header if "__" in name and name not in values)
        launch = Launch(
            cells[_NAME], cells.get(_GPU_NAME, ""), cells.get("CC", ""), duration_s, values, unread
        )
        _check_bandwidth(path, number, launch)
        yield launch


_MOST_PERCENT = 110.0
"""Shares of a peak exceed 100 % a little where two counters were collected in different passes."""

_MOST_BYTES_S = 1e14
"""100 TB/s: beyond the memory of any GPU (2026: up to 20)."""


def _may_exceed(name: str) -> bool:
    """Say whether a percentage is of something other than its whole."""
    return "hit_rate" not in name and "pct_of_peak" not in name


def _check_bandwidth(path: Path, number: int, launch: Launch) -> None:
    moved = {name: launch.values.get(name) for name in ("dram__bytes_read.sum", "dram__bytes_write.sum")}
    moved["dram__bytes.sum"] = launch.values.get("dram__bytes.sum")
    rates = {name: value / launch.duration_s for name, value in moved.items() if value is not None}
    rates |= {name: launch.values[name] for name in ("dram__bytes.sum.per_second",) if name in launch.values}
    for name, rate in rates.items():
        if rate > _MOST_BYTES_S or rate < 0:
            raise InputError(
                f"{path}, kernel {number}: '{name}' means {rate / 1e12:.4g} TB/s, which no memory has: "
                "is a unit or a decimal mark misread?"
            )


def _mark(path: Path, texts: Iterable[str]) -> str | None:
    try:
        return decimal_mark(texts)
    except MixedMarksError as error:
        raise InputError(f"{path}: {error}") from None


_DETAILS = {
    "Duration": _DURATION,
    "DRAM Throughput": "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "Memory Throughput": "dram__bytes.sum.per_second",
    "L1/TEX Hit Rate": "l1tex__t_sector_hit_rate.pct",
    "L2 Hit Rate": "lts__t_sector_hit_rate.pct",
}
"""Metrics of the details page that are one of the raw page. `Memory Throughput` is that only in bytes a second."""


def _detailed(path: Path, header: list[str], rows: list[list[str]]) -> Iterator[Launch]:
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InputError(f"{path}, row {number}: {len(row)} values for {len(header)} columns")
    table = [dict(zip(header, row, strict=True)) for row in rows]
    mark = _mark(path, (cells["Metric Value"] for cells in table))
    launches: dict[tuple[str, ...], tuple[dict[str, str], dict[str, float]]] = {}
    for number, cells in enumerate(table, start=1):
        key = tuple(cells.get(name, "") for name in ("Host Name", "Process ID", "ID", _NAME))
        _, values = launches.setdefault(key, (cells, {}))
        name, unit = _DETAILS.get(cells["Metric Name"]), cells["Metric Unit"]
        if name is None or (name == "dram__bytes.sum.per_second" and "byte" not in unit.lower()):
            continue
        value = _number(path, number, cells["Metric Name"], cells["Metric Value"], mark)
        if value is None:
            continue
        if unit == "%" and value > _MOST_PERCENT:
            raise InputError(
                f"{path}, row {number}: '{cells['Metric Name']}' is {value:g} %, more than the whole"
            )
        values[name] = value * _factor(path, name, unit)
    for number, (cells, values) in enumerate(launches.values(), start=1):
        if values.get(_DURATION, 0.0) <= 0:
            raise InputError(f"{path}, kernel {number}: no 'Duration' (section SpeedOfLight measures it)")
        launch = Launch(
            cells[_NAME], cells.get(_GPU_NAME, ""), cells.get("CC", ""), values[_DURATION], values
        )
        _check_bandwidth(path, number, launch)
        yield launch


def _factor(path: Path, name: str, unit: str) -> float:
    """Return what a column's values are multiplied with; a unit that is not scaled leaves them alone."""
    if name == _DURATION and not unit:
        raise InputError(f"{path}: '{_DURATION}' has no unit")
    found = _UNIT.match(unit)
    return _PREFIXES[found[1]] / _PREFIXES[found[2] or ""] if found else 1.0


def _number(path: Path, number: int, name: str, text: str, mark: str | None) -> float | None:
    """Return a cell as a number; None for one that is not. Raises `InputError` for one that could be two numbers."""
    try:
        value = float(text) if mark == "." and "," not in text else number_with(text, mark)
    except ValueError:
        if (
            mark is None
            and any(character.isdigit() for character in text)
            and _THOUSANDS.fullmatch(text.strip())
        ):
            raise InputError(
                f"{path}, kernel {number}: '{name}' is {text!r}: thousands or a decimal comma? "
                "No other number of the file settles it"
            ) from None
        return None
    return value if math.isfinite(value) else None


_THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")
