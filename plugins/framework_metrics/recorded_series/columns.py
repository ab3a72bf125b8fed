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
from framework_metrics.recorded_series.lines import kind_of, numbered_lines, reading
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


def read_gpu_series(file: Path) -> Iterator[ImportedRun]:
    """Yield the one run of a file (CSV, `.gz` or not).

    Raises:
        InputError: no column `time_s`, no column of numbers, time that goes back, a cell that is not a number; names
            file and line.
    """
    lines = numbered_lines(file)
    header = next(((number, next(csv.reader([line]))) for number, line in lines), None)
    if header is None:
        raise InputError(f"{file}: empty")
    names = [ALIASES.get(name.strip(), name.strip()) for name in header[1]]
    _check_header(file, names)
    ticks, others, rows = Ticks(), _Others(), 0
    for number, line in lines:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        try:
            if len(cells) != len(names):
                raise ValueError(f"{len(cells)} values under {len(names)} columns")
            _take_row(dict(zip(names, cells, strict=True)), ticks, others)
        except ValueError as error:
            raise InputError(f"{file}, line {number}: {error}") from None
        rows += 1
    if not rows:
        raise InputError(f"{file}: no row below the header")
    yield imported_run("gpu-series", file, ticks.recording("recorded power"), others.series(), begin_s=0.0)


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
