"""Engine power and emission factors of the STEAM model.

Source: Jalkanen et al. 2009 (STEAM) and 2012 (STEAM2); constants in `factors.yaml`. Speeds in knots, power in kW,
factors in g/kWh. Every function is vectorised: arrays of equal shape, or values that broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from framework_maritime.emissions.constants import constants

Array = npt.NDArray[np.float64]

PASSENGER = ("passenger", "ropax", "cruise", "yacht")


def main_power_kw(speed_kn: Any, installed_kw: Any, design_speed_kn: Any) -> Array:
    """Return the power of the main engines: cubic in speed, 80 % of the installed power at design speed + 0.5 kn.

    A speed above that (wind, current, a wrong register) counts as that speed.
    """
    steam = constants()["steam"]
    top = np.asarray(design_speed_kn, float) + steam["speed_margin_kn"]
    share = np.minimum(np.asarray(speed_kn, float), top) / top
    return np.asarray(steam["design_load"] * np.asarray(installed_kw, float) * share**3)


def auxiliary_power_kw(speed_kn: Any, installed_kw: Any, passenger: Any) -> Array:
    """Return the power of the auxiliary engines.

    Passenger ships: 4,000 kW at all times. Others: 1,000 kW at berth (≤ 1 kn), 1,250 kW when manoeuvring (≤ 5 kn),
    750 kW at sea. Never more than is installed; an unknown installed power (NaN) doesn't cap.
    """
    speed = np.asarray(speed_kn, float)
    need = np.where(speed <= 1, 1000.0, np.where(speed <= 5, 1250.0, 750.0))
    need = np.where(np.asarray(passenger, bool), 4000.0, need)
    return np.asarray(np.fmin(need, np.asarray(installed_kw, float)))


def engine_load(power_kw: Any, engine_kw: Any) -> Array:
    """Return the load (0–1) of each running engine: as few engines run as can give the power."""
    power, one = np.asarray(power_kw, float), np.asarray(engine_kw, float)
    running = np.trunc(power / one) + 1
    return np.asarray(power / (one * running))


def relative_sfoc(load: Any) -> Array:
    """Return fuel consumption relative to its base value at a load."""
    a, b, c = constants()["steam"]["sfoc_load"]
    load = np.asarray(load, float)
    return np.asarray(a * load**2 + b * load + c)


def base_sfoc(rpm: Any, build_year: Any) -> Array:
    """Return the base fuel consumption in g/kWh by engine speed and year; the default where both are unknown."""
    steam = constants()["steam"]
    rpm, year = np.broadcast_arrays(np.asarray(rpm, float), np.asarray(build_year, float))
    limits = steam["rpm_limits"]
    kind = np.where(rpm <= limits["slow"], 0, np.where(rpm <= limits["medium"], 1, 2))
    age = np.where(year <= 1983, 0, np.where(year <= 2000, 1, 2))
    table = np.array([steam["sfoc"][name] for name in ("slow", "medium", "fast")], float)
    return np.asarray(np.where(np.isnan(rpm) | np.isnan(year), steam["sfoc_default"], table[kind, age]))


def co2(sfoc: Any) -> Array:
    """Return CO2 from the carbon in the fuel."""
    steam = constants()["steam"]
    mass = steam["molar_mass_g"]
    return np.asarray(np.asarray(sfoc, float) * steam["carbon_share"] / mass["c"] * mass["co2"])


def sox(sfoc: Any, sulphur_share: Any) -> Array:
    """Return SOx (as SO2) from the sulphur in the fuel; `sulphur_share` is a mass fraction (0.001 for 0.1 %)."""
    mass = constants()["steam"]["molar_mass_g"]
    return np.asarray(np.asarray(sfoc, float) * np.asarray(sulphur_share, float) / mass["s"] * mass["so2"])


def nox(rpm: Any) -> Array:
    """Return the tier I limit of NOx by engine speed; an unknown speed counts as a medium-speed diesel's."""
    steam = constants()["steam"]
    limits = steam["nox"]
    rpm = np.nan_to_num(np.asarray(rpm, float), nan=steam["rpm_default"])
    middle = limits["a"] * np.maximum(rpm, 1.0) ** limits["b"]
    slow, fast = rpm < limits["slow_below_rpm"], rpm >= limits["fast_from_rpm"]
    return np.asarray(np.where(slow, limits["slow"], np.where(fast, limits["fast"], middle)))


def pm(load: Any, sulphur_share: Any) -> Array:
    """Return particulate matter: sulphate, its water, organic and elemental carbon, ash.

    The regression takes sulphur in percent; `sulphur_share` is a mass fraction like everywhere else.
    """
    steam = constants()["steam"]
    part, low = steam["pm"], steam["oc_low_load"]
    load, percent = np.asarray(load, float), 100 * np.asarray(sulphur_share, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        high = low["a"] / (1 - low["b"] * np.exp(-low["c"] * load))
    oc = np.where(load < low["below"], low["value"], high)
    base = (part["so4"] + part["water"]) * percent + part["oc"] * oc + part["ash"] + part["ec"]
    return np.asarray(relative_sfoc(load) * base)


def co(load: Any) -> Array:
    """Return CO; grows at low load as the relative fuel consumption does."""
    return np.asarray(constants()["steam"]["co_low_load"] * relative_sfoc(load))


def hc(load: Any) -> Array:
    """Return unburnt hydrocarbons, likewise."""
    return np.asarray(constants()["steam"]["hc"] * relative_sfoc(load))
