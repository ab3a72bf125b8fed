"""`import gpu-series FILE`: a CSV with `time_s` and a column a series, such as our own `samples` or a scraper's log.

GPU columns are named as our samples (`gpu_power_w`, `gpu1_util_pct`, `sm_clock_mhz`); any other column of numbers
becomes a series too. An empty cell is a missing value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from framework.contracts import ImportedRun
from framework.errors import InputError, did_you_mean
from framework_metrics.nvml.quantities import PLAUSIBLE
from framework_metrics.recorded_series.imported import imported_run
from framework_metrics.recorded_series.lines import check_width, kind_of, numbered_lines, reading, take_lines
from framework_metrics.recorded_series.ticks import Ticks
from framework_metrics.sampling.recording import Series

ALIASES = {
    "sm_clock_mhz": "gpu_sm_clock_mhz",
    "memory_clock_mhz": "gpu_memory_clock_mhz",
    "hbm_temperature_c": "gpu_memory_temperature_c",
    "requests_running": "running",
    "requests_waiting": "waiting",
    "kv_usage_fraction": "kv_usage",
    "preemptions_total": "preemptions",
}
"""Our series by other names for it."""

_GPU = re.compile(rf"gpu(\d*)_({'|'.join(PLAUSIBLE)})")


def read_gpu_series(file: Path, grid: str | None = None) -> Iterator[ImportedRun]:
    """Yield the one run of a file (CSV, `.gz` or not).

    Raises:
        InputError: no column `time_s`, no column of numbers, time that goes back, a cell that is not a number; names
            file and line.
    """
    lines = numbered_lines(file)
    header = next(((number, next(csv.reader([line]))) for number, line in lines), None)
    if header is None:
        raise InputError(f"{file}: empty")
    told = [_our_unit(ALIASES.get(name.strip(), name.strip())) for name in header[1]]
    names = [name for name, _ in told]
    units = {name: factor for name, factor in told if factor != 1.0}
    _check_header(file, names)
    file_begin, begun = Ticks(), False
    others = _Others()

    def take(line: str) -> bool:
        nonlocal begun
        if not begun:
            begun = True
            return False
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        check_width(cells, names, "columns")
        _take_row(_in_our_units(dict(zip(names, cells, strict=True)), units), file_begin, others)
        return True

    rows, notes = take_lines(file, take)
    if not rows:
        raise InputError(f"{file}: no row below the header")
    recording = file_begin.recording("recorded power")
    first_s = float(recording.t_s[0])
    period_s = float(np.median(np.diff(recording.t_s))) if len(recording.t_s) > 1 else 0.0
    if period_s > _LONG_PERIOD_S:
        notes.append(f"{period_s:g} s between samples: is column time_s in another unit? Energy is doubtful")
    yield imported_run(
        "gpu-series",
        file,
        recording,
        others.series(),
        notes=notes,
        begin_s=first_s if abs(first_s) > _EPOCH_S else 0.0,
        grid=grid,
    )


_LONG_PERIOD_S = 300.0
_EPOCH_S = 1e8
"""A first time beyond this is a date: t = 0 is then the first sample."""

_UNITS = {"mw": ("w", 1e-3), "kw": ("w", 1e3), "mj": ("j", 1e-3), "kj": ("j", 1e3), "wh": ("j", 3600.0)}
_TIMES = {"time_ms": 1e-3, "time_us": 1e-6, "time_ns": 1e-9}


def _our_unit(name: str) -> tuple[str, float]:
    """Return a column's name in our unit, and what its values are multiplied with (`gpu_power_mw` → watts)."""
    if name in _TIMES:
        return "time_s", _TIMES[name]
    stem, _, unit = name.rpartition("_")
    if unit in _UNITS and _GPU.fullmatch(f"{stem}_{_UNITS[unit][0]}"):
        return f"{stem}_{_UNITS[unit][0]}", _UNITS[unit][1]
    return name, 1.0


def _in_our_units(row: Mapping[str, str], units: Mapping[str, float]) -> Mapping[str, str]:
    if not units:
        return row
    return {
        name: repr(units[name] * reading(text, name, plausible=False)) if text and name in units else text
        for name, text in row.items()
    }


def _check_header(file: Path, names: list[str]) -> None:
    if "time_s" not in names:
        hint = kind_of(",".join(names)) or did_you_mean("time_s", names)
        raise InputError(f"{file}, line 1: no column 'time_s'{hint}")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise InputError(f"{file}, line 1: column '{sorted(repeated)[0]}' appears more than once")
    if not any(_GPU.fullmatch(name) for name in names):
        near = did_you_mean(next((name for name in names if "gpu" in name), "gpu_power_w"), ["gpu_power_w"])
        raise InputError(f"{file}, line 1: no GPU series such as 'gpu_power_w'{near}")


def _take_row(row: Mapping[str, str], ticks: Ticks, others: _Others) -> None:
    t_s = reading(row["time_s"], "time_s")
    found: dict[str, dict[str, float]] = {}
    for name, text in row.items():
        match = _GPU.fullmatch(name)
        if match:
            values = found.setdefault(f"gpu{match[1] or 0}", {})
            if text:
                values[match[2]] = reading(text, match[2])
        elif text and name != "time_s":
            others.add(name, t_s, reading(text, name))
    for label, values in found.items():
        ticks.add(t_s, label, values)


class _Others:
    """Series that belong to no GPU."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, t_s: float, value: float) -> None:
        self._rows.setdefault(name, []).append((t_s, value))

    def series(self) -> dict[str, Series]:
        return {name: Series(*np.array(rows).T) for name, rows in self._rows.items()}
