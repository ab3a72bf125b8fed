"""Read the raw page of Nsight Compute: `ncu --import REPORT.ncu-rep --csv --page raw`.

One row a launch, one column a metric, and a second header row with units, which change with the size of the values
(`byte`, `Kbyte` …): every value is brought to its base unit (bytes, seconds, operations, hertz).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.errors import InputError

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
    """

    kernel: str
    device: str
    capability: str
    duration_s: float
    values: Mapping[str, float]

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
        with path.open(encoding="utf-8-sig", newline="") as stream:
            found = list(_launches(path, csv.reader(_table_lines(stream))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read: {error}") from error
    if not found:
        raise InputError(f"{path}: contains no kernel: no launch matched the filters of `ncu`")
    return found


def _table_lines(stream: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """Yield the lines of the table; `ncu` prints messages (`==PROF== …`) into the same stream."""
    for line in stream:
        if line.strip() and not line.startswith("=="):
            yield line


def _launches(path: Path, rows: Iterator[list[str]]) -> Iterator[Launch]:
    header = next(rows, [])
    if _NAME not in header:
        raise InputError(
            f"{path}: no column '{_NAME}': not the raw page of Nsight Compute; "
            "print it with: ncu --import REPORT.ncu-rep --csv --page raw"
        )
    if _DURATION not in header:
        hint = ": this is the page 'details'; add --page raw" if "Metric Name" in header else ""
        raise InputError(f"{path}: no column '{_DURATION}'{hint or ' (section SpeedOfLight measures it)'}")
    units = next(rows, [])
    if len(units) != len(header) or units[header.index(_NAME)]:
        raise InputError(f"{path}: no row of units below the header: not the raw page of Nsight Compute")
    factors = {name: _factor(path, name, unit) for name, unit in zip(header, units, strict=True)}
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InputError(f"{path}, kernel {number}: {len(row)} values for {len(header)} columns")
        cells = dict(zip(header, row, strict=True))
        values = {
            name: value * factors[name]
            for name, text in cells.items()
            if (value := _number(text)) is not None
        }
        duration_s = values.get(_DURATION)
        if duration_s is None or duration_s <= 0:
            raise InputError(f"{path}, kernel {number}: '{_DURATION}' is not a time: {cells[_DURATION]!r}")
        yield Launch(cells[_NAME], cells.get(_GPU_NAME, ""), cells.get("CC", ""), duration_s, values)


def _factor(path: Path, name: str, unit: str) -> float:
    """Return what a column's values are multiplied with; a unit that is not scaled leaves them alone."""
    if name == _DURATION and not unit:
        raise InputError(f"{path}: '{_DURATION}' has no unit")
    found = _UNIT.match(unit)
    return _PREFIXES[found[1]] / _PREFIXES[found[2] or ""] if found else 1.0


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
