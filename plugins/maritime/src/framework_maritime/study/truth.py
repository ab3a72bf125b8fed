"""Errors against a fleet whose engines are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from framework.contracts import Metric
from framework_maritime.imputation.imputers import Draws
from framework_maritime.imputation.intervals import interval
from framework_maritime.study.fleet_tables import FleetTables

Array = npt.NDArray[np.float64]


def truth_metrics(
    mass: dict[str, Array],
    draws: Draws,
    true: dict[str, Array],
    fleet: FleetTables,
    complete: npt.NDArray[np.bool_],
    fits: int,
    level: float,
) -> list[Metric]:
    """Return the bias of the total, the error of a ship, and whether the interval holds."""
    assert fleet.truth is not None
    whole = float(true["co2"].sum())
    totals = np.nansum(mass["co2"], axis=1)
    found = [
        Metric("fleet_co2_bias_pct", 100 * (float(totals.mean()) / whole - 1), "%", "truth"),
        Metric("fleet_co2_error_pct", 100 * abs(float(totals.mean()) / whole - 1), "%", "truth"),
        Metric("co2_recovered_share", _recovered(totals, mass["co2"], whole, complete), "", "truth"),
    ]
    limits = interval(totals, fits, level)
    if limits.low is not None and limits.high is not None:
        found.append(Metric("interval_holds", float(limits.low <= whole <= limits.high), "", "truth"))
    else:
        found.append(Metric.absent("interval_holds", "no interval without imputation", "", "truth"))
    hidden = ~complete
    names = ("ship_co2_error_kg", "ship_co2_error_pct", "ship_power_error_kw", "ship_power_error_pct")
    units = ("kg", "%", "kW", "%")
    if not hidden.any():
        reason = "every ship has a complete record"
        return [
            *found,
            *(Metric.absent(name, reason, unit, "truth") for name, unit in zip(names, units, strict=True)),
        ]
    guess = np.nan_to_num(np.mean(mass["co2"], axis=0))[hidden]
    actual = true["co2"][hidden]
    kw = np.nan_to_num(draws.kw.mean(axis=0))[hidden]
    true_kw = fleet.truth.numbers("main_kw")[hidden]
    moved = actual > 0
    values = (
        float(np.mean(np.abs(guess - actual))) / 1e3,
        100 * float(np.median(np.abs(guess - actual)[moved] / actual[moved]))
        if moved.any()
        else float("nan"),
        float(np.mean(np.abs(kw - true_kw))),
        100 * float(np.median(np.abs(kw - true_kw) / true_kw)),
    )
    for name, value, unit in zip(names, values, units, strict=True):
        found.append(
            Metric(name, value, unit, "truth")
            if np.isfinite(value)
            else Metric.absent(name, "no hidden ship emitted anything", unit, "truth")
        )
    return found


def _recovered(totals: Array, co2: Array, whole: float, complete: npt.NDArray[np.bool_]) -> float:
    """Return the share of the emissions of ships with incomplete records that the answer holds (1: all of them)."""
    known = float(np.nansum(co2[:, complete], axis=1).mean())
    hidden = whole - known
    return float((totals.mean() - known) / hidden) if hidden > 0 else 1.0
