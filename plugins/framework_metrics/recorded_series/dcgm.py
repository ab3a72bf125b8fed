"""Series of NVIDIA's DCGM: `dcgmi dmon` as text, and what dcgm-exporter shows to Prometheus, scrape after scrape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_metrics.recorded_series.imported import imported_run
from framework_metrics.recorded_series.lines import check_width, reading, take_lines
from framework_metrics.recorded_series.ticks import Ticks

_FIELDS = {
    "POWER": ("power_w", 1.0),
    "TOTEC": ("energy_counter_j", 1e-3),
    "GPUTL": ("util_pct", 1.0),
    "MCUTL": ("memory_util_pct", 1.0),
    "SMACT": ("sm_active_pct", 100.0),
    "SMOCC": ("sm_occupancy_pct", 100.0),
    "TENSO": ("tensor_active_pct", 100.0),
    "DRAMA": ("dram_active_pct", 100.0),
    "SMCLK": ("sm_clock_mhz", 1.0),
    "MMCLK": ("memory_clock_mhz", 1.0),
    "TMPTR": ("temperature_c", 1.0),
    "MMTMP": ("memory_temperature_c", 1.0),
    "FBUSD": ("memory_used_mib", 1.0),
}
"""Our quantity and its factor by the column of `dcgmi dmon`: activities are shares of 1, the counter is in mJ."""

_PROMETHEUS = {
    "DCGM_FI_DEV_POWER_USAGE": _FIELDS["POWER"],
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": _FIELDS["TOTEC"],
    "DCGM_FI_DEV_GPU_UTIL": _FIELDS["GPUTL"],
    "DCGM_FI_DEV_MEM_COPY_UTIL": _FIELDS["MCUTL"],
    "DCGM_FI_PROF_SM_ACTIVE": _FIELDS["SMACT"],
    "DCGM_FI_PROF_SM_OCCUPANCY": _FIELDS["SMOCC"],
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": _FIELDS["TENSO"],
    "DCGM_FI_PROF_DRAM_ACTIVE": _FIELDS["DRAMA"],
    "DCGM_FI_DEV_SM_CLOCK": _FIELDS["SMCLK"],
    "DCGM_FI_DEV_MEM_CLOCK": _FIELDS["MMCLK"],
    "DCGM_FI_DEV_GPU_TEMP": _FIELDS["TMPTR"],
    "DCGM_FI_DEV_MEMORY_TEMP": _FIELDS["MMTMP"],
    "DCGM_FI_DEV_FB_USED": _FIELDS["FBUSD"],
}
_SAMPLE = re.compile(r"(\w+)\{(.*)\}\s+(\S+)(?:\s+(-?\d+))?\s*$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MISSING = ("N/A", "-", "NaN")


def read_dcgmi(
    file: Path, interval_s: str | float | None = None, grid: str | None = None
) -> Iterator[ImportedRun]:
    """Yield the one run of an output of `dcgmi dmon`, whose rows have no time.

    Args:
        file: the output.
        interval_s: seconds between rows (dcgmi's `-d`, in ms there); one second, its default, if not given.
        grid: where the energy came from, for its carbon.

    Raises:
        InputError: not such an output, or a bad row; names file and line.
    """
    from framework_metrics.recorded_series.dmon import seconds_between

    reader = _Rows(seconds_between(interval_s))
    _, notes = take_lines(file, reader.take)
    if not reader.labels:
        raise InputError(f"{file}: no row of `dcgmi dmon` in it")
    if interval_s is None:
        notes.append("no time in the rows: one second between them is assumed (interval_s=N sets it)")
    yield imported_run("dcgm", file, reader.ticks.recording("dcgmi power"), notes=notes, grid=grid)


class _Rows:
    """Takes the lines of `dcgmi dmon`."""

    def __init__(self, interval_s: float) -> None:
        self.ticks, self.labels = Ticks(), list[str]()
        self._interval_s, self._columns, self._tick = interval_s, list[str](), -1

    def take(self, line: str) -> bool:
        """Take a header, a line of units, or a row; say whether it was a row."""
        words = line.split()
        if words[0].lstrip("#") == "Entity":
            self._columns = words[1:]
            if not set(self._columns) & set(_FIELDS):
                raise ValueError("no known column of dcgmi dmon")
            return False
        if words[0] == "ID":
            return False
        if not self._columns:
            raise ValueError("no header of `dcgmi dmon` (`#Entity …`) before the first row")
        entity, cells = " ".join(words[:2]), words[2:]
        if not re.fullmatch(r"(GPU|GPU-I|GPU-CI) \d+(/\d+)*", entity):
            raise ValueError(f"{entity!r} is not an entity such as 'GPU 0'")
        check_width(cells, self._columns, "columns")
        label = "gpu" + words[1].replace("/", "_") if words[0] == "GPU" else entity.lower().replace(" ", "")
        if label not in self.labels:
            self.labels.append(label)
        self._tick += label == self.labels[0]
        values = {}
        for name, text in zip(self._columns, cells, strict=True):
            if name in _FIELDS and text not in _MISSING:
                quantity, factor = _FIELDS[name]
                number = factor * reading(text, name, plausible=False)
                values[quantity] = reading(repr(number), quantity)
        self.ticks.add(max(self._tick, 0) * self._interval_s, label, values)
        return True


def read_exporter(
    file: Path, interval_s: str | float | None = None, grid: str | None = None
) -> Iterator[ImportedRun]:
    """Yield the one run of the text of dcgm-exporter: one scrape, or several behind each other.

    A sample's time is what is written behind it (ms), else a new scrape begins where a sample comes again.

    Raises:
        InputError: no DCGM sample, or one that can't be read; names file and line.
    """
    from framework_metrics.recorded_series.dmon import seconds_between

    reader = _Samples(seconds_between(interval_s))
    _, notes = take_lines(file, reader.take)
    if not reader.rows:
        raise InputError(f"{file}: no DCGM sample of a GPU in it")
    if reader.foreign:
        notes.append(f"{reader.foreign} samples of other metrics are not read")
    if not reader.timed and len({place for place, *_ in reader.rows}) > 1 and interval_s is None:
        notes.append("no time with the samples: one second between scrapes is assumed (interval_s=N sets it)")
    yield imported_run("dcgm", file, reader.ticks().recording("dcgm-exporter power"), notes=notes, grid=grid)


class _Samples:
    """Takes the lines of an exporter."""

    def __init__(self, interval_s: float) -> None:
        self.rows: list[tuple[float, str, str, float, dict[str, str]]] = []
        self.foreign, self.timed = 0, False
        self._interval_s, self._scrape = interval_s, 0
        self._seen: set[tuple[str, str]] = set()
        self._labels: dict[tuple[str, ...], str] = {}

    def take(self, line: str) -> bool:
        """Take a comment or a sample; say whether it was a sample that is read."""
        if line.startswith("#"):
            return False
        found = _SAMPLE.match(line)
        if found is None:
            if re.match(r"\w+\s+\S+", line):
                self.foreign += 1
                return False
            raise ValueError(f"{line[:60]!r} is not a sample")
        if found[1] not in _PROMETHEUS:
            self.foreign += 1
            return False
        told = dict(_LABEL.findall(found[2]))
        key = tuple(told.get(name, "") for name in ("Hostname", "UUID", "gpu", "GPU_I_ID"))
        label = self._labels.setdefault(key, f"gpu{len(self._labels)}")
        if found[4] is not None:
            self.timed = True
            at_s = int(found[4]) / 1000
        else:
            if (label, found[1]) in self._seen:
                self._scrape, self._seen = self._scrape + 1, set()
            self._seen.add((label, found[1]))
            at_s = self._scrape * self._interval_s
        quantity, factor = _PROMETHEUS[found[1]]
        if found[3] not in _MISSING:
            number = factor * reading(found[3], found[1], plausible=False)
            facts = {"uuid": told.get("UUID", ""), "name": told.get("modelName", "")}
            self.rows.append((at_s, label, quantity, reading(repr(number), quantity), facts))
        return True

    def ticks(self) -> Ticks:
        """Return the samples, those of one moment and GPU together."""
        together: dict[tuple[float, str], tuple[dict[str, float], dict[str, str]]] = {}
        for at_s, label, quantity, value, facts in sorted(self.rows, key=lambda row: row[:2]):
            together.setdefault((at_s, label), ({}, facts))[0][quantity] = value
        begin = min(at_s for at_s, _ in together)
        ticks = Ticks()
        for (at_s, label), (values, facts) in together.items():
            ticks.add(at_s - begin, label, values, **{name: text for name, text in facts.items() if text})
        return ticks
