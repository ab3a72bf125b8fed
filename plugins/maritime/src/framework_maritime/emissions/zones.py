"""Where and when which fuel is burnt: sulphur limits by area, date and berth; control areas for NOx."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from framework_maritime.emissions.constants import zone_data

Array = npt.NDArray[np.float64]
_DAY_S = 86_400.0
_EPOCH = date(1970, 1, 1)


@cache
def _outline(name: str) -> Any:
    import shapely

    data = zone_data()
    points = data["at_berth"]["outline"] if name == "at_berth" else _area(name)["outline"]
    polygon = shapely.Polygon(points)
    shapely.prepare(polygon)
    return polygon


def _area(name: str) -> dict[str, Any]:
    return next(area for area in zone_data()["areas"] if area["name"] == name)


def inside(name: str, lon_deg: Array, lat_deg: Array) -> npt.NDArray[np.bool_]:
    """Return which positions lie in a named area of `zones.yaml`."""
    import shapely

    return np.asarray(shapely.contains_xy(_outline(name), lon_deg, lat_deg))


def in_control_area(lon_deg: Array, lat_deg: Array, t_s: Array) -> npt.NDArray[np.bool_]:
    """Return which positions lie in a sulphur control area that is in force at their time (seconds since 1970)."""
    found = np.zeros(len(lon_deg), bool)
    for area in zone_data()["areas"]:
        begin_s = (area["sulphur"][0]["from"] - _EPOCH).days * _DAY_S
        found |= inside(area["name"], lon_deg, lat_deg) & (t_s >= begin_s)
    return found


def sulphur_share(lon_deg: Array, lat_deg: Array, t_s: Array, speed_kn: Array) -> Array:
    """Return the sulphur limit of the fuel as a mass fraction: the lowest that holds at each position and time."""
    data = zone_data()
    percent = _by_date(data["sulphur_percent"], t_s)
    for area in data["areas"]:
        there = inside(area["name"], lon_deg, lat_deg)
        if there.any():
            percent = np.where(there, np.fmin(percent, _by_date(area["sulphur"], t_s)), percent)
    berth = data["at_berth"]
    moored = (speed_kn <= 1) & (t_s >= (berth["from"] - _EPOCH).days * _DAY_S)
    if moored.any():
        moored &= inside("at_berth", lon_deg, lat_deg)
        percent = np.where(moored, np.minimum(percent, berth["limit"]), percent)
    return np.asarray(percent / 100)


def _by_date(limits: list[dict[str, Any]], t_s: Array) -> Array:
    """Return the limit in force at each time; NaN before the first date."""
    percent = np.full(len(t_s), np.nan)
    for step in limits:
        percent = np.where(t_s >= (step["from"] - _EPOCH).days * _DAY_S, step["limit"], percent)
    return percent
