"""A synthetic fleet whose engines, types and phases are known, on a small port map. Seeded.

A ship's size, design speed and power vary together around its type's typical values, as they do in registers: power
grows with the cube of speed and with displacement. It lies at berth, manoeuvres through the harbour, cruises along a
sea lane and returns. Speeds and turns carry AIS noise; stretches of messages are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework_maritime.fleet import port_map
from framework_maritime.fleet.register import SCHEMA
from framework_maritime.fleet.ship_types import SHIP_TYPES

Array = npt.NDArray[np.float64]

PHASES = ("hotelling", "manoeuvring", "cruising")
START_S = 1_748_736_000.0
"""2025-06-01 UTC: the sulphur control area of the Mediterranean is in force."""

_TOGETHER = np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.5], [0.6, 0.5, 1.0]])  # log power, log length, log speed
_SPREAD_LENGTH, _SPREAD_SPEED = 0.15, 0.06


@dataclass(frozen=True)
class Fleet:
    """A fleet with its truth.

    Attributes:
        ships: the full register (`register.SCHEMA`), nothing hidden.
        positions: `ship_id, t_s, lon_deg, lat_deg, sog_kn, turn_deg_min, depth_level`, by ship and time.
        phases: index into `PHASES` of each position.
    """

    ships: pa.Table
    positions: pa.Table
    phases: npt.NDArray[np.int8]


def synthetic_fleet(
    ships: int, days: float, seed: int, period_s: float = 60.0, noise: float = 1.0, gap_share: float = 0.03
) -> Fleet:
    """Return a fleet.

    Args:
        ships: how many.
        days: length of the tracks.
        seed: same seed, same bytes.
        period_s: time between messages.
        noise: scale of the noise of speed, position and turn rate.
        gap_share: share of the time without messages, in stretches of 5 to 40 minutes.
    """
    random = np.random.default_rng(seed)
    register = _register(ships, random)
    steps = max(2, int(days * 86_400 / period_s))
    tracks = [_track(register, row, steps, period_s, noise, gap_share, random) for row in range(ships)]
    columns = {name: np.concatenate([track[name] for track in tracks]) for name in tracks[0]}
    phases = columns.pop("phase").astype(np.int8)
    return Fleet(register, pa.table(columns), phases)


def _register(ships: int, random: np.random.Generator) -> pa.Table:
    names = list(SHIP_TYPES)
    share = np.array([SHIP_TYPES[name].share for name in names])
    chosen = random.choice(len(names), ships, p=share / share.sum())
    kinds = [SHIP_TYPES[names[index]] for index in chosen]
    z = random.multivariate_normal(np.zeros(3), _TOGETHER, ships)
    main_kw = np.array([kind.main_kw for kind in kinds]) * np.exp(
        np.array([kind.sigma for kind in kinds]) * z[:, 0]
    )
    columns = {
        "ship_id": 200_000_000 + np.arange(ships) * 1_000 + random.integers(0, 1_000, ships),
        "ship_type": [kind.name for kind in kinds],
        "length_m": np.array([kind.length_m for kind in kinds]) * np.exp(_SPREAD_LENGTH * z[:, 1]),
        "main_kw": main_kw,
        "main_engines": np.array([kind.engines for kind in kinds], float),
        "design_speed_kn": np.array([kind.design_speed_kn for kind in kinds])
        * np.exp(_SPREAD_SPEED * z[:, 2]),
        "main_rpm": np.array([kind.rpm for kind in kinds], float),
        "aux_kw": np.array([kind.aux_kw for kind in kinds]) * np.exp(0.2 * random.normal(size=ships)),
        "build_year": random.integers(1985, 2022, ships).astype(float),
    }
    return pa.table(columns, schema=SCHEMA)


def _track(
    register: pa.Table,
    row: int,
    steps: int,
    period_s: float,
    noise: float,
    gap_share: float,
    random: np.random.Generator,
) -> dict[str, Array]:
    kind = SHIP_TYPES[register["ship_type"][row].as_py()]
    design_kn = register["design_speed_kn"][row].as_py()
    phase, speed, distance, bearing = _voyages(kind.name, design_kn, steps, period_s, random)
    calm = np.array([0.05, 1.0, 0.25])[phase] * kind.turning
    turn = calm * _rough(steps, 0.7, random) * 8.0
    speed = np.maximum(0.0, speed + noise * (0.1 * random.normal(size=steps) * (phase > 0)))
    lon, lat = port_map.position(distance, bearing)
    lon = lon + noise * 5e-5 * random.normal(size=steps)
    lat = lat + noise * 5e-5 * random.normal(size=steps)
    kept = _received(steps, period_s, gap_share, random)
    kept[0] = True
    identity = np.full(steps, register["ship_id"][row].as_py(), np.int64)
    columns = {
        "ship_id": identity,
        "t_s": START_S + period_s * np.arange(steps),
        "lon_deg": lon,
        "lat_deg": lat,
        "sog_kn": speed,
        "turn_deg_min": turn + noise * random.normal(size=steps) * (phase > 0),
        "depth_level": port_map.depth_level(distance),
        "phase": phase,
    }
    return {name: values[kept] for name, values in columns.items()}


def _voyages(
    kind: str, design_kn: float, steps: int, period_s: float, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], Array, Array, Array]:
    """Return phase, speed (kn), distance from the harbour (nmi) and bearing at each step.

    A voyage: at berth, out through the harbour, along a sea lane and back, in through the harbour. The record begins
    up to two days after the first of them, so that some ships are at sea.
    """
    skipped = int(random.integers(0, max(1, int(2 * 86_400 / period_s))))
    short, hours = kind in ("tug", "fishing"), period_s / 3600
    legs: list[tuple[int, Array, Array, float]] = []  # phase, speeds, distances, bearing
    have = 0
    while have < skipped + steps:
        bearing = random.uniform(*port_map.SEAWARD_DEG)
        berth = _steps((random.exponential(240 if short else 540) + 30) * 60 / period_s)
        legs.append((0, np.zeros(berth), np.full(berth, _BERTH_NMI), bearing))
        slow_kn = random.uniform(0.2, 0.45) * min(design_kn, 16.0)
        out = _cruise(slow_kn, _steps(random.uniform(20, 90) * (3 if short else 1) * 60 / period_s), random)
        way = np.cumsum(out) * hours
        legs.append((1, out, _BERTH_NMI + way, bearing))
        edge = _BERTH_NMI + float(way[-1])
        fast_kn = random.uniform(0.75, 0.95) * design_kn
        sea = _cruise(
            fast_kn, _steps((random.exponential(90 if short else 420) + 60) * 60 / period_s), random
        )
        gone = np.cumsum(sea) * hours
        there = edge + np.minimum(gone, gone[-1] - gone)
        legs.append((2, sea, there, bearing))
        back = out[::-1]
        legs.append((1, back, edge - np.cumsum(back) * hours, bearing))
        have += 2 * len(out) + len(sea) + berth
    phase = np.concatenate([np.full(len(speeds), which) for which, speeds, _, _ in legs])
    speed = np.concatenate([speeds for _, speeds, _, _ in legs])
    distance = np.concatenate([distances for _, _, distances, _ in legs])
    bearings = np.concatenate([np.full(len(speeds), heading) for _, speeds, _, heading in legs])
    part = slice(skipped, skipped + steps)
    return phase[part].astype(np.int64), speed[part], distance[part], bearings[part]


_BERTH_NMI = 0.5


def _steps(count: float) -> int:
    return max(2, int(count))


def _cruise(level_kn: float, count: int, random: np.random.Generator) -> Array:
    """Return speeds around a level: wind, current and traffic move them slowly."""
    return np.maximum(0.0, level_kn * (1 + 0.04 * _rough(count, 0.95, random)))


def _rough(count: int, memory: float, random: np.random.Generator) -> Array:
    """Return AR(1) noise with unit variance."""
    from scipy.signal import lfilter

    white = random.normal(size=count) * np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], white))


def _received(
    steps: int, period_s: float, gap_share: float, random: np.random.Generator
) -> npt.NDArray[np.bool_]:
    kept = np.ones(steps, bool)
    mean_gap = 22.5 * 60 / period_s
    for _ in range(random.poisson(gap_share * steps / mean_gap)):
        begin = int(random.integers(0, steps))
        kept[begin : begin + int(random.uniform(5, 40) * 60 / period_s)] = False
    return kept


@dataclass(frozen=True)
class Missing:
    """What a register lacks.

    Attributes:
        share: share of ships whose engines are hidden.
        type_share: share of ships whose type is hidden, drawn on its own.
        mechanism: `random`, or `small_ships`: the odds fall with length, as in real registers.
    """

    share: float = 0.4
    type_share: float = 0.2
    mechanism: str = "random"


HIDDEN_WITH_ENGINES = ("main_kw", "main_engines", "design_speed_kn", "main_rpm", "aux_kw")


def hide(ships: pa.Table, missing: Missing, seed: int) -> pa.Table:
    """Return the register with engines and types hidden; at least two ships keep each."""
    random = np.random.default_rng([seed, 7])
    count = ships.num_rows
    weight = np.ones(count)
    if missing.mechanism == "small_ships":
        weight = 1 / np.asarray(ships["length_m"].to_numpy(), float)

    def drawn(share: float) -> npt.NDArray[np.bool_]:
        number = min(round(share * count), max(0, count - 2))
        chosen = random.choice(count, number, replace=False, p=weight / weight.sum())
        return np.isin(np.arange(count), chosen)

    no_engine, no_type = drawn(missing.share), drawn(missing.type_share)
    for name in HIDDEN_WITH_ENGINES:
        position = ships.schema.get_field_index(name)
        ships = ships.set_column(position, SCHEMA.field(name), _masked(ships[name], no_engine))
    position = ships.schema.get_field_index("ship_type")
    return ships.set_column(position, SCHEMA.field("ship_type"), _masked(ships["ship_type"], no_type))


def _masked(column: pa.ChunkedArray, hidden: npt.NDArray[np.bool_]) -> pa.Array:
    import pyarrow.compute as pc

    return pc.if_else(pa.array(hidden), pa.scalar(None, column.type), column.combine_chunks())
