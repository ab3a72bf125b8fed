"""`import dmon FILE`: output of `nvidia-smi dmon`, as text or with `--format csv`.

Two lines of header, which come again every few rows: names behind `#`, then units. `-` is "not measured". With `-o T`
or `-o DT` each row has its time; without, rows are taken to be one second apart, dmon's default, and the run says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from framework.contracts import ImportedRun
from framework.errors import InputError, did_you_mean
from framework_metrics.recorded_series.imported import imported_run
from framework_metrics.recorded_series.lines import check_width, kind_of, reading, take_lines
from framework_metrics.recorded_series.ticks import Ticks

QUANTITIES = {
    "pwr": "power_w",
    "gtemp": "temperature_c",
    "temp": "temperature_c",
    "mtemp": "memory_temperature_c",
    "sm": "util_pct",
    "mem": "memory_util_pct",
    "mclk": "memory_clock_mhz",
    "pclk": "sm_clock_mhz",
    "fb": "memory_used_mib",
    "rxpci": "pcie_rx_mib_s",
    "txpci": "pcie_tx_mib_s",
}
"""Our quantity by dmon's column. Its `sm` is time with a kernel running, not the activity of SMs."""

_MISSING = ("-", "N/A", "[N/A]")
_DAY = timedelta(days=1)


def read_dmon(
    file: Path, interval_s: str | float | None = None, grid: str | None = None
) -> Iterator[ImportedRun]:
    """Yield the one run of a file.

    Args:
        file: the output.
        interval_s: seconds between rows, for an output without time (dmon's own `-d`).
        grid: where the energy came from, for its carbon.

    Raises:
        InputError: the file is not an output of dmon, or a row breaks its header; names file and line.
    """
    reader = _Reader(seconds_between(interval_s))
    _, notes = take_lines(file, reader.take)
    if not reader.rows:
        raise InputError(f"{file}: no row of `nvidia-smi dmon` in it")
    if not reader.timed and interval_s is None:
        notes.append("no time in the rows: one second between them is assumed (interval_s=N sets it)")
    yield imported_run("dmon", file, reader.ticks.recording("dmon power"), notes=notes, grid=grid)


def seconds_between(interval_s: str | float | None) -> float:
    """Return the seconds between rows: one if none are given. Raises `InputError` for what is not a time."""
    if interval_s is None:
        return 1.0
    try:
        found = float(interval_s)
    except ValueError:
        found = 0.0
    if not 0 < found <= 86_400:
        raise InputError(f"interval_s: {interval_s!r} is not a number of seconds")
    return found


class _Reader:
    """Takes lines; remembers the header that they stand under."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self.interval_s = interval_s
        self.ticks = Ticks()
        self.rows = 0
        self.timed = False
        self._columns: list[str] = []
        self._begin: datetime | None = None
        self._last: datetime | None = None
        self._first_gpu: str | None = None
        self._tick = -1

    def take(self, line: str) -> bool:
        """Take a header, a line of units, or a row; say whether it was a row."""
        cells = _cells(line)
        if line.lstrip().startswith("#"):
            names = [cell.lower() for cell in _cells(line.lstrip().lstrip("#"))]
            if "gpu" in names:
                if not set(names) & set(QUANTITIES):
                    raise ValueError(f"no known column of dmon{did_you_mean(names[-1], QUANTITIES)}")
                self._columns = names
            return False
        if not self._columns:
            hint = kind_of(line)
            raise ValueError(f"no header of `nvidia-smi dmon` (`# gpu pwr …`) before the first row{hint}")
        check_width(cells, self._columns, "columns")
        self._row(dict(zip(self._columns, cells, strict=True)))
        return True

    def _row(self, row: dict[str, str]) -> None:
        gpu = row["gpu"]
        if not re.fullmatch(r"\d+", gpu):
            raise ValueError(f"gpu: {gpu!r} is not an index")
        values = {
            quantity: reading(row[column], quantity)
            for column, quantity in QUANTITIES.items()
            if column in row and row[column] not in _MISSING
        }
        self.ticks.add(self._time_s(row, gpu), f"gpu{gpu}", values)
        self.rows += 1

    def _time_s(self, row: dict[str, str], gpu: str) -> float:
        if "time" not in row:
            self._first_gpu = self._first_gpu or gpu
            self._tick += gpu == self._first_gpu
            return max(self._tick, 0) * self.interval_s
        self.timed = True
        day = row.get("date", "20000101")
        try:
            now = datetime.strptime(f"{day} {row['time']}", "%Y%m%d %H:%M:%S")
        except ValueError:
            raise ValueError(
                f"time '{day} {row['time']}' is not a date and time (expected YYYYMMDD HH:MM:SS)"
            ) from None
        while "date" not in row and self._last is not None and now < self._last - 0.5 * _DAY:
            now += _DAY  # the clock passed midnight
        self._last = now
        self._begin = self._begin or now
        return (now - self._begin).total_seconds()


def _cells(line: str) -> Sequence[str]:
    parts = line.split(",") if "," in line else line.split()
    return [part.strip() for part in parts]
