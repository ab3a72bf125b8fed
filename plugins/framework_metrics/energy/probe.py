"""The probe of `metrics=energy`: energy counters and power of the run's boards, RAPL zones of the host."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from framework_metrics.energy.rapl import find_zones
from framework_metrics.nvml.devices import select_devices
from framework_metrics.nvml.driver_calls import open_library
from framework_metrics.nvml.probe import Source, SourceTable, boards, describe
from framework_metrics.nvml.quantities import COUNTER, POWER
from framework_metrics.sampling.probe import Opened, Reading, UnavailableError


class EnergyProbe:
    """Counters and power; opens as long as one of them can be read.

    Args:
        names: entries of `CUDA_VISIBLE_DEVICES`; None for all devices.
        count: how many of them the run uses; None for all.
        powercap: folder of the RAPL zones.
    """

    def __init__(self, names: Sequence[str] | None, count: int | None, powercap: str) -> None:
        self._names, self._count, self._powercap = names, count, Path(powercap)
        self._table = SourceTable()

    def open(self) -> Opened:
        """Find the boards and the RAPL zones. Raises `UnavailableError` if neither can be read."""
        facts: dict[str, Any] = {}
        try:
            library = open_library()
            devices = select_devices(library, self._names, self._count)
        except UnavailableError as missing:
            self._table.absent["gpu"] = str(missing)
        else:
            facts["gpus"] = [describe(library, device) for device in devices]
            for board in boards(devices):
                for reader in (COUNTER, POWER):
                    read = partial(reader.read, library, board)
                    self._table.add(Source(board.board_label, reader.names, read))
        self._zones, absent = find_zones(self._powercap)
        facts["rapl_wrap_at_j"] = {zone.column: zone.wrap_at_j for zone in self._zones}
        if not self._table.columns and not self._zones:
            reasons = [*self._table.absent.values(), *absent.values()]
            raise UnavailableError("; ".join(dict.fromkeys(reasons)))
        columns = [*self._table.columns, *(zone.column for zone in self._zones)]
        return Opened(columns, {**self._table.absent, **absent}, facts)

    def read(self) -> Sequence[Reading]:
        """Return one reading a column: J of counters, W of power."""
        row = self._table.read()
        for zone in self._zones:
            try:
                row.append(zone.read_j())
            except UnavailableError as missing:
                row.append(missing)
        return row

    def close(self) -> dict[str, Any]:
        """Nothing more is known at the end."""
        return {}
