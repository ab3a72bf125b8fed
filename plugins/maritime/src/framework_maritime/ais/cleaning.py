"""Cleaning of AIS messages: every message that is left out is counted under one reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import InputError
from framework_maritime.fleet.port_map import on_land

Array = npt.NDArray[np.float64]

FASTEST_KN = 60.0
"""No ship of a register is faster; AIS itself says 102.3 for 'not available'."""
_NMI_PER_DEG = 60.0
_CLOCK_DAYS = 400.0
_DAY_S = 86_400.0


@dataclass
class Cleaned:
    """Messages that can be used, and what became of the others.

    Attributes:
        positions: `ship_id, t_s, lon_deg, lat_deg, sog_kn, turn_deg_min, depth_level`, by ship and time.
        left_out: number of messages by reason.
        notes: what was repaired and not left out (rows out of order).
    """

    positions: pa.Table
    left_out: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)


def clean(messages: pa.Table, land: Any = (), source: str = "messages") -> Cleaned:
    """Return positions by ship and time, without what can't be true.

    In this order: a missing number, an identity that no ship has (MMSI of 9 digits that begins with 2 to 7), a
    place outside the world, a speed above 60 kn, a clock error (more than 400 days from the median time), a place on
    land, a second message of the same ship and second, a jump (two neighbours further apart than 60 kn allow).

    Raises:
        InputError: no usable message is left; names the source and the counts.
    """
    left_out: dict[str, int] = {}
    count = messages.num_rows

    def values(name: str, default: float = np.nan) -> Array:
        if name not in messages.column_names:
            return np.full(count, default)
        return np.asarray(pc.fill_null(messages[name].cast(pa.float64()), default).to_numpy(), float)

    ship, t, lon, lat, sog = (values(name) for name in ("ship_id", "t_s", "lon_deg", "lat_deg", "sog_kn"))
    kept = np.ones(count, bool)

    def drop(reason: str, wrong: npt.NDArray[np.bool_]) -> None:
        nonlocal kept
        found = int((kept & wrong).sum())
        if found:
            left_out[reason] = found
            kept &= ~wrong

    with np.errstate(invalid="ignore"):
        drop("a missing or unreadable number", ~np.isfinite(ship + t + lon + lat + sog))
        drop("an identity of no ship", (ship < 2e8) | (ship >= 8e8))
        drop("a place outside the world", (np.abs(lon) > 180) | (np.abs(lat) > 90))
        drop("a speed above 60 kn", (sog > FASTEST_KN) | (sog < 0))
        if kept.any():
            middle = float(np.median(t[kept]))
            drop("a clock error", np.abs(t - middle) > _CLOCK_DAYS * _DAY_S)
    if len(land):
        drop("a place on land", on_land(lon, lat, land))
    rows = np.flatnonzero(kept)
    ordered = np.lexsort((t[rows], ship[rows]))
    notes = {}
    moved = int((np.diff(t[rows]) < 0).sum()) if len(rows) > 1 and len(np.unique(ship[rows])) == 1 else 0
    if moved:
        notes["messages out of order, sorted"] = moved
    rows = rows[ordered]
    twice = np.zeros(len(rows), bool)
    twice[1:] = (ship[rows][1:] == ship[rows][:-1]) & (t[rows][1:] == t[rows][:-1])
    if twice.any():
        left_out["a second message of the same ship and second"] = int(twice.sum())
        rows = rows[~twice]
    jumped = _jumps(ship[rows], t[rows], lon[rows], lat[rows])
    if jumped.any():
        left_out["a jump that no ship makes"] = int(jumped.sum())
        rows = rows[~jumped]
    if not len(rows):
        why = ", ".join(f"{number} with {reason}" for reason, number in left_out.items())
        raise InputError(f"{source}: no usable message among {count} ({why})")
    turn = np.nan_to_num(values("turn_deg_min")[rows], nan=0.0)
    depth = np.nan_to_num(values("depth_level")[rows], nan=0.0)
    table = pa.table(
        {
            "ship_id": ship[rows].astype(np.int64),
            "t_s": t[rows],
            "lon_deg": lon[rows],
            "lat_deg": lat[rows],
            "sog_kn": sog[rows],
            "turn_deg_min": np.clip(turn, -720, 720),
            "depth_level": depth.astype(np.int64),
        }
    )
    return Cleaned(table, left_out, notes)


def _jumps(ship: Array, t: Array, lon: Array, lat: Array) -> npt.NDArray[np.bool_]:
    """Return messages that lie further from the last good one of their ship than 60 kn allow.

    Three passes: a single wrong place makes two jumps, there and back, and only the first of them is wrong.
    """
    wrong = np.zeros(len(ship), bool)
    for _ in range(3):
        rows = np.flatnonzero(~wrong)
        same = ship[rows][1:] == ship[rows][:-1]
        dx = np.diff(lon[rows]) * np.cos(np.deg2rad(lat[rows][1:]))
        moved_nmi = np.hypot(dx, np.diff(lat[rows])) * _NMI_PER_DEG
        hours = np.maximum(np.diff(t[rows]), 1.0) / 3600
        far = same & (moved_nmi > FASTEST_KN * hours + 0.2)
        far[1:] &= ~far[:-1]
        if not far.any():
            break
        wrong[rows[1:][far]] = True
    return wrong
