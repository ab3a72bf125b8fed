"""Emission factors of the US EPA's port inventory guidance, an alternative to STEAM's.

g/kWh by engine kind, NOx tier and fuel zone. `inside` says whether the ship is in an emission control area, where it
burns distillate. Source: `factors.yaml`, block `epa`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.emissions.constants import constants
from framework_maritime.emissions.steam import relative_sfoc

Array = npt.NDArray[np.float64]

MAIN_KINDS = ("ssd", "msd", "hsd", "st", "gt", "lng")


def factor(
    pollutant: str, role: str, kind: str, inside: bool, tier: int = 0, load: float | None = None
) -> float:
    """Return one factor in g/kWh.

    Args:
        pollutant: `co`, `hc`, `nox`, `co2` or `pm10`.
        role: `main`, `aux` or `boiler`.
        kind: engine kind (`ssd`, `msd`, `hsd`, `st`, `gt`, `lng`); not used for a boiler.
        inside: in an emission control area.
        tier: NOx tier of the engine (0–3); 3 counts as 2 below 25 % load.
        load: engine load (0–1); None for the base value.

    Raises:
        ConfigError: no such factor; names the words that were asked for.
    """
    epa = constants()["epa"]
    column = 0 if inside else 1
    table = epa.get(role)
    if table is None or pollutant not in (*table, "pm10"):
        raise ConfigError(f"no emission factor of '{pollutant}' for '{role}' in the EPA set")
    if role == "boiler":
        return (
            _pm10(epa, table["bsfc"][column], column)
            if pollutant == "pm10"
            else _either(table[pollutant], column)
        )
    if pollutant == "pm10":
        if kind in table["pm10"]:
            return float(table["pm10"][kind])
        return _pm10(epa, _of_kind(table["bsfc"], kind, role)[column], column)
    value = _of_kind(table[pollutant], kind, role)
    if pollutant == "nox":
        if tier == 3 and load is not None and load < epa["tier3_least_load"]:
            tier = 2
        return float(value[min(tier, max(value))][column])
    if pollutant == "co2":
        scale = 1.0 if load is None else float(relative_sfoc(load))
        return scale * float(value[column])
    return float(value)


def bsfc_at_load(base: float, load: float | None) -> float:
    """Return fuel consumption in g/kWh at a load; the base value where the load is unknown."""
    return base if load is None else float(relative_sfoc(load)) * base


def tier_of(build_year: Any) -> npt.NDArray[np.int64]:
    """Return the NOx tier by the year the keel was laid; 0 where the year is unknown."""
    years = np.nan_to_num(np.asarray(build_year, float), nan=0.0)
    starts = constants()["epa"]["tier_from_year"]
    return np.asarray(sum((years >= start).astype(np.int64) for start in starts.values()))


def kind_of(rpm: Any) -> npt.NDArray[np.str_]:
    """Return the kind of main engine by its speed; medium-speed diesel where it is unknown."""
    rpm = np.asarray(rpm, float)
    return np.asarray(np.where(rpm <= 300, "ssd", np.where(rpm > 900, "hsd", "msd")))


def _of_kind(table: dict[str, Any], kind: str, role: str) -> Any:
    kind = {"hsd": "msd"}.get(kind, kind) if kind not in table else kind  # no table of its own: the nearest
    if kind not in table:
        raise ConfigError(f"no emission factor of engine kind '{kind}' for '{role}' in the EPA set")
    return table[kind]


def _either(value: Any, column: int) -> float:
    return float(value[column] if isinstance(value, list) else value)


def _pm10(epa: dict[str, Any], bsfc: float, column: int) -> float:
    sulphur_percent = 0.1 if column == 0 else 0.5
    part = epa["pm10_sulphur"]
    return float(
        epa["pm10_base"][column] + sulphur_percent * bsfc * part["share"] * part["mass"] * part["scale"]
    )
