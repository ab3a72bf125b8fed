"""A workload's tables as arrays: positions by ship, the register, the series of each ship."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_maritime.emissions.activity import Activity, Segments, activity, segments
from framework_maritime.fleet.register import Register
from framework_maritime.imputation.movement import VISIBLE
from framework_maritime.series.windows import Series

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FleetTables:
    """Positions (by ship and time), and the register in the same order of ships.

    Attributes:
        ship: row of the ship for each position.
        columns: positions by name.
        register: as the workload has it.
        truth: the full register; None for recorded messages.
    """

    ship: npt.NDArray[np.int64]
    columns: dict[str, Array]
    register: Register
    truth: Register | None

    @classmethod
    def of(cls, workload: WorkloadTables) -> FleetTables:
        """Read the tables. Raises `ConfigError` for a workload of another domain."""
        if not {"positions", "ships"} <= set(workload.tables):
            raise ConfigError(
                "configuration group 'workload': ships need workload=ais or workload=ais_synthetic"
            )
        ships = workload.tables["ships"]
        order = np.argsort(ships["ship_id"].to_numpy(), kind="stable")
        ids = ships["ship_id"].to_numpy()[order]
        positions = workload.tables["positions"]
        identity = positions["ship_id"].to_numpy()
        row = np.searchsorted(ids, identity)
        by = np.lexsort((positions["t_s"].to_numpy(), row))
        columns = {
            name: np.asarray(positions[name].to_numpy(), float)[by]
            for name in positions.column_names
            if name != "ship_id"
        }
        truth = workload.tables.get("truth_ships")
        return cls(
            row[by].astype(np.int64),
            columns,
            Register(ships.take(order)),
            None
            if truth is None
            else Register(truth.take(np.argsort(truth["ship_id"].to_numpy(), kind="stable"))),
        )

    def __len__(self) -> int:
        return len(self.register)

    def pieces(self, step_s: float) -> Segments:
        """Return the tracks in pieces; see `emissions.activity`."""
        c = self.columns
        return segments(self.ship, c["t_s"], c["lon_deg"], c["lat_deg"], c["sog_kn"], step_s)

    def activity(self, pieces: Segments) -> Activity:
        """Return seconds by ship, speed and fuel."""
        return activity(pieces, len(self))

    def series(self) -> list[Series]:
        """Return turn rate, speed and depth level of each ship; a ship without positions has one row of zeros."""
        values = np.stack([self.columns[name] for name in VISIBLE], axis=1)
        bounds = np.searchsorted(self.ship, np.arange(len(self) + 1))
        found = []
        for begin, end in itertools.pairwise(bounds):
            if begin == end:
                found.append(Series.of(np.zeros((1, len(VISIBLE)))))
            else:
                found.append(Series.of(values[begin:end], self.columns["t_s"][begin:end]))
        return found
