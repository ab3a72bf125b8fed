"""What ships did: seconds at each speed and in each fuel, from their positions.

A segment is the time between two positions of one ship. It counts unless the gap is longer than 15 minutes. Speed is
linear inside a segment and read in its middle steps, so that 10 s and 60 s steps agree on smooth tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework_maritime.emissions.zones import in_control_area, sulphur_share

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LONGEST_GAP_S = 900.0
SPEED_BIN_KN = 0.1
FUELS = (0.001, 0.005, 0.010, 0.015, 0.035, 0.045)
"""Sulphur shares that any limit of `zones.yaml` can take."""


@dataclass(frozen=True)
class Segments:
    """Pieces of tracks, one row each.

    Attributes:
        ship: row of the ship in its table.
        t_s, lon_deg, lat_deg, speed_kn: in the middle of the piece.
        duration_s: its length in time.
        sulphur_share: mass fraction of the fuel that may be burnt there and then.
        controlled: inside an emission control area.
    """

    ship: Ints
    t_s: Array
    lon_deg: Array
    lat_deg: Array
    speed_kn: Array
    duration_s: Array
    sulphur_share: Array
    controlled: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ship)


def segments(
    ship: Ints, t_s: Array, lon_deg: Array, lat_deg: Array, speed_kn: Array, step_s: float = 60.0
) -> Segments:
    """Cut the tracks of ships into pieces of at most `step_s`; positions are sorted by ship and time.

    Gaps above 15 minutes and time that goes backwards add nothing.
    """
    gap_s = np.diff(t_s)
    kept = np.flatnonzero((ship[1:] == ship[:-1]) & (gap_s > 0) & (gap_s <= LONGEST_GAP_S))
    pieces = np.maximum(1, np.ceil(gap_s[kept] / step_s)).astype(np.int64)
    start = np.repeat(kept, pieces)
    first = np.concatenate(([0], np.cumsum(pieces)[:-1])) if len(pieces) else np.zeros(0, np.int64)
    number = np.arange(len(start)) - np.repeat(first, pieces)
    share = (number + 0.5) / np.repeat(pieces, pieces)

    def middle(values: Array) -> Array:
        return np.asarray(values[start] + share * (values[start + 1] - values[start]))

    t, lon, lat, speed = middle(t_s), middle(lon_deg), middle(lat_deg), middle(speed_kn)
    return Segments(
        ship[start],
        t,
        lon,
        lat,
        speed,
        np.repeat(gap_s[kept] / pieces, pieces),
        sulphur_share(lon, lat, t, speed),
        in_control_area(lon, lat, t),
    )


@dataclass(frozen=True)
class Activity:
    """Seconds by ship, speed bin and fuel: all that emissions of a ship depend on.

    Attributes:
        ship: row of the ship.
        speed_kn: middle of the speed bin.
        sulphur_share, controlled: of the fuel and place.
        duration_s: time spent so.
        ships: number of ships in the table.
    """

    ship: Ints
    speed_kn: Array
    sulphur_share: Array
    controlled: npt.NDArray[np.bool_]
    duration_s: Array
    ships: int


def activity(pieces: Segments, ships: int) -> Activity:
    """Sum the pieces up by ship, speed and fuel."""
    bin_of = np.rint(pieces.speed_kn / SPEED_BIN_KN).astype(np.int64)
    bins = int(bin_of.max()) + 1 if len(bin_of) else 1
    fuel = np.abs(pieces.sulphur_share[:, None] - np.array(FUELS)).argmin(axis=1)
    key = ((pieces.ship * bins + bin_of) * len(FUELS) + fuel) * 2 + pieces.controlled
    found, where = np.unique(key, return_inverse=True)
    duration_s = np.bincount(where, pieces.duration_s, len(found)) if len(found) else np.zeros(0)
    controlled, rest = found % 2 == 1, found // 2
    return Activity(
        (rest // len(FUELS)) // bins,
        (rest // len(FUELS)) % bins * SPEED_BIN_KN,
        np.array(FUELS)[rest % len(FUELS)],
        controlled,
        duration_s,
        ships,
    )
