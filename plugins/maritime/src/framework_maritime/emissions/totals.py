"""Grams of each pollutant: engines × activity × factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from framework_maritime.emissions import epa, steam
from framework_maritime.emissions.activity import Activity, Segments

Array = npt.NDArray[np.float64]
FactorSet = Literal["steam", "epa"]

POLLUTANTS = ("co2", "nox", "sox", "pm", "co", "hc")


@dataclass(frozen=True)
class Engines:
    """The engines of a fleet, one row a ship.

    Attributes:
        main_kw: installed power of all main engines.
        main_engines: how many they are.
        design_speed_kn: speed at 80 % of that power, less half a knot.
        main_rpm: speed of the main engines; NaN where unknown.
        aux_kw: installed power of the auxiliary engines; NaN where unknown.
        build_year: NaN where unknown.
        passenger: whether hotel load runs at all times.
    """

    main_kw: Array
    main_engines: Array
    design_speed_kn: Array
    main_rpm: Array
    aux_kw: Array
    build_year: Array
    passenger: npt.NDArray[np.bool_]

    def with_main(self, main_kw: Array, design_speed_kn: Array, passenger: npt.NDArray[np.bool_]) -> Engines:
        """Return these engines with other main engines and types."""
        return replace(self, main_kw=main_kw, design_speed_kn=design_speed_kn, passenger=passenger)


def grams(
    engines: Engines,
    ship: npt.NDArray[np.int64],
    speed_kn: Array,
    duration_s: Array,
    sulphur_share: Array,
    controlled: npt.NDArray[np.bool_],
    factors: FactorSet = "steam",
) -> dict[str, Array]:
    """Return grams of each pollutant in each row; NaN where a ship's power is unknown."""
    hours = duration_s / 3600
    main_kw = steam.main_power_kw(speed_kn, engines.main_kw[ship], engines.design_speed_kn[ship])
    aux_kw = steam.auxiliary_power_kw(speed_kn, engines.aux_kw[ship], engines.passenger[ship])
    load = steam.engine_load(main_kw, (engines.main_kw / engines.main_engines)[ship])
    of = _steam if factors == "steam" else _epa
    main, aux = of(engines, ship, load, sulphur_share, controlled)
    return {name: (main[name] * main_kw + aux[name] * aux_kw) * hours for name in POLLUTANTS}


def _steam(
    engines: Engines,
    ship: npt.NDArray[np.int64],
    load: Array,
    sulphur: Array,
    controlled: npt.NDArray[np.bool_],
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    base = steam.base_sfoc(engines.main_rpm, engines.build_year)[ship]
    fuel = base * steam.relative_sfoc(load)
    main = {
        "co2": steam.co2(fuel),
        "nox": steam.nox(engines.main_rpm)[ship],
        "sox": steam.sox(fuel, sulphur),
        "pm": steam.pm(load, sulphur),
        "co": steam.co(load),
        "hc": steam.hc(load),
    }
    constants = steam.constants()["steam"]
    rated = np.full(len(ship), constants["design_load"])
    aux_fuel = np.full(len(ship), constants["sfoc_aux"])
    aux = {
        "co2": steam.co2(aux_fuel),
        "nox": np.full(len(ship), float(steam.nox(np.nan))),
        "sox": steam.sox(aux_fuel, sulphur),
        "pm": steam.pm(rated, sulphur),
        "co": steam.co(rated),
        "hc": steam.hc(rated),
    }
    return main, aux


def _epa(
    engines: Engines,
    ship: npt.NDArray[np.int64],
    load: Array,
    sulphur: Array,
    controlled: npt.NDArray[np.bool_],
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    kinds, tiers = epa.kind_of(engines.main_rpm), epa.tier_of(engines.build_year)
    main: dict[str, Array] = {}
    aux: dict[str, Array] = {}
    relative = steam.relative_sfoc(load)
    low = load < steam.constants()["epa"]["tier3_least_load"]
    for ours, theirs in (("co2", "co2"), ("nox", "nox"), ("pm", "pm10"), ("co", "co"), ("hc", "hc")):
        table = {
            (kind, inside, tier): epa.factor(theirs, "main", kind, inside, tier)
            for kind in ("ssd", "msd", "hsd")
            for inside in (False, True)
            for tier in range(4)
        }
        by_ship = {
            inside: np.array(
                [table[str(kind), inside, int(tier)] for kind, tier in zip(kinds, tiers, strict=True)]
            )
            for inside in (False, True)
        }
        value = np.where(controlled, by_ship[True][ship], by_ship[False][ship])
        if ours == "nox":  # an engine of tier 3 at low load emits as one of tier 2
            second = np.minimum(tiers, 2)
            fallback = {
                inside: np.array([table[str(k), inside, int(t)] for k, t in zip(kinds, second, strict=True)])
                for inside in (False, True)
            }
            at_low = np.where(controlled, fallback[True][ship], fallback[False][ship])
            value = np.where(low, at_low, value)
        main[ours] = value * relative if ours == "co2" else value
        aux[ours] = np.where(
            controlled,
            epa.factor(theirs, "aux", "msd", True, 1),
            epa.factor(theirs, "aux", "msd", False, 1),
        )
    bsfc = steam.constants()["epa"]
    base = np.array(
        [bsfc["main"]["bsfc"].get(str(kind), bsfc["main"]["bsfc"]["msd"])[0] for kind in kinds], float
    )
    main["sox"] = steam.sox(base[ship] * relative, sulphur)
    aux["sox"] = steam.sox(np.full(len(ship), float(bsfc["aux"]["bsfc"]["msd"][0])), sulphur)
    return main, aux


def grams_by_ship(engines: Engines, done: Activity, factors: FactorSet = "steam") -> dict[str, Array]:
    """Return grams of each pollutant by ship; NaN for a ship whose power is unknown."""
    rows = grams(
        engines, done.ship, done.speed_kn, done.duration_s, done.sulphur_share, done.controlled, factors
    )
    return {name: np.bincount(done.ship, values, done.ships) for name, values in rows.items()}


def grams_of_pieces(engines: Engines, pieces: Segments, factors: FactorSet = "steam") -> dict[str, Array]:
    """Return grams of each pollutant by piece of track, for maps."""
    return grams(
        engines,
        pieces.ship,
        pieces.speed_kn,
        pieces.duration_s,
        pieces.sulphur_share,
        pieces.controlled,
        factors,
    )
