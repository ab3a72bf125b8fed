"""The probe of `metrics=nvml`: finds out what the GPUs of a run report, and reads it at each tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from framework_metrics.nvml.devices import Device, select_devices
from framework_metrics.nvml.driver_calls import asked, open_library
from framework_metrics.nvml.gpm import NAMES as GPM_NAMES
from framework_metrics.nvml.gpm import GpmReader
from framework_metrics.nvml.gpu_processes import Neighbour, neighbours
from framework_metrics.nvml.quantities import PCIE, READERS, Reader, plausible
from framework_metrics.sampling.probe import Opened, Reading, UnavailableError

GPM_SPACING_S = 0.1
"""Between GPM's first two samples: NVML may refuse an average over less."""

NEIGHBOUR_PERIOD_S = 1.0
"""Between two looks at the processes on the GPU."""


@dataclass
class Source:
    """A reader bound to a device, with the columns that it fills."""

    label: str
    names: tuple[str, ...]
    read: Callable[[], Sequence[Reading]]

    @property
    def columns(self) -> list[str]:
        """Names of the quantities with the device's label before them."""
        return [f"{self.label}.{name}" for name in self.names]

    def readings(self) -> list[Reading]:
        """Read once; a failure of the whole question is the reading of each quantity."""
        try:
            found = self.read()
        except UnavailableError as missing:
            return [missing] * len(self.names)
        return [plausible(name, reading) for name, reading in zip(self.names, found, strict=True)]


@dataclass
class SourceTable:
    """The sources that answer, column by column; those that do not, with their reasons."""

    sources: list[Source] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    _kept: list[list[bool]] = field(default_factory=list)

    def add(self, source: Source) -> None:
        """Ask a source once; keep the columns that it can fill."""
        readings = source.readings()
        kept = [not isinstance(reading, UnavailableError) for reading in readings]
        for column, reading in zip(source.columns, readings, strict=True):
            if isinstance(reading, UnavailableError):
                self.absent[column] = str(reading)
            else:
                self.columns.append(column)
        if any(kept):
            self.sources.append(source)
            self._kept.append(kept)

    def read(self) -> list[Reading]:
        """Return one reading a column."""
        row: list[Reading] = []
        for source, kept in zip(self.sources, self._kept, strict=True):
            row.extend(reading for reading, keep in zip(source.readings(), kept, strict=True) if keep)
        return row


class NvmlProbe:
    """Everything that NVML reports of the run's GPUs.

    Args:
        names: entries of `CUDA_VISIBLE_DEVICES`; None for all devices.
        count: how many of them the run uses; None for all.
        run_pid: the run's process; what does not descend from it is a neighbour.
        pcie: whether to ask for PCIe traffic where GPM does not report it (40 ms a GPU and tick).
    """

    def __init__(self, names: Sequence[str] | None, count: int | None, run_pid: int, pcie: bool) -> None:
        self._names, self._count, self._run_pid, self._pcie = names, count, run_pid, pcie
        self._table = SourceTable()
        self._neighbours: dict[tuple[str, int], Neighbour] = {}
        self._neighbours_unknown: str | None = None
        self._gpm: list[GpmReader] = []

    def open(self) -> Opened:
        """Find devices, try every reader once, look who is there already."""
        self._library = open_library()
        self._devices = select_devices(self._library, self._names, self._count)
        for board in boards(self._devices):
            self._add(READERS, board, "board")
        for device in self._devices:
            self._add(READERS, device, "device")
            self._add_activity(device)
        if not self._table.columns:
            raise UnavailableError(next(iter(self._table.absent.values())))
        self._look_around(from_start=True)
        facts = {"gpus": [describe(self._library, device) for device in self._devices]}
        return Opened(self._table.columns, self._table.absent, facts)

    def read(self) -> Sequence[Reading]:
        """Return one reading a column."""
        if time.monotonic() - self._looked_s >= NEIGHBOUR_PERIOD_S:
            self._look_around(from_start=False)
        return self._table.read()

    def close(self) -> dict[str, Any]:
        """Return who else was seen on the GPUs."""
        self._look_around(from_start=False)
        for reader in self._gpm:
            reader.close()
        found = [asdict(neighbour) for neighbour in self._neighbours.values()]
        return {"neighbours": found, "neighbours_unknown": self._neighbours_unknown}

    def _add(self, readers: Sequence[Reader], device: Device, scope: str) -> None:
        label = device.board_label if scope == "board" else device.label
        for reader in readers:
            if reader.scope == scope:
                self._table.add(Source(label, reader.names, partial(reader.read, self._library, device)))

    def _add_activity(self, device: Device) -> None:
        """Add GPM's averages; PCIe traffic by the slow question only where GPM has none."""
        try:
            gpm = GpmReader(self._library, device)
            self._gpm.append(gpm)
            time.sleep(GPM_SPACING_S)
            self._table.add(Source(device.label, GPM_NAMES, gpm.read))
        except UnavailableError as missing:
            for name in GPM_NAMES:
                if name not in PCIE.names:
                    self._table.absent[f"{device.label}.{name}"] = str(missing)
        if f"{device.label}.{PCIE.names[0]}" in self._table.columns:
            return
        if not self._pcie:
            for name in PCIE.names:
                reason = "switched off (metrics.nvml.pcie=false), and GPM does not report it"
                self._table.absent[f"{device.label}.{name}"] = reason
        else:
            self._table.add(Source(device.label, PCIE.names, partial(PCIE.read, self._library, device)))

    def _look_around(self, from_start: bool) -> None:
        self._looked_s = time.monotonic()
        for device in self._devices:
            try:
                for neighbour in neighbours(self._library, device, self._run_pid, from_start):
                    self._keep(neighbour)
            except UnavailableError as missing:
                self._neighbours_unknown = str(missing)

    def _keep(self, seen: Neighbour) -> None:
        """Keep a neighbour with the most memory that it was seen with."""
        key = (seen.device, seen.pid)
        before = self._neighbours.get(key)
        if before is None or (seen.memory_mib or 0.0) > (before.memory_mib or 0.0):
            first = seen.from_start if before is None else before.from_start
            self._neighbours[key] = Neighbour(seen.device, seen.pid, seen.name, seen.memory_mib, first)


def boards(devices: Sequence[Device]) -> list[Device]:
    """Return one device a board: MIG instances of one GPU share its power, clocks and temperature."""
    return list({device.board_label: device for device in devices}.values())


def describe(library: Any, device: Device) -> dict[str, Any]:
    """Return what does not change of a device; None for what NVML does not report."""

    def told(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except UnavailableError:
            return None

    board = device.board
    limit = told(lambda: 1e-3 * asked(library.nvmlDeviceGetEnforcedPowerLimit, board))
    memory = told(lambda: asked(library.nvmlDeviceGetMemoryInfo, device.handle).total / 2**20)
    return {
        "label": device.label,
        "uuid": device.uuid,
        "board": device.board_label,
        "mig": device.instance is not None,
        "name": told(lambda: str(asked(library.nvmlDeviceGetName, board))),
        "driver": told(lambda: str(asked(library.nvmlSystemGetDriverVersion))),
        "sm_clock_max_mhz": told(
            lambda: asked(library.nvmlDeviceGetMaxClockInfo, board, library.NVML_CLOCK_SM)
        ),
        "power_limit_w": limit,
        "memory_total_mib": memory,
    }
