"""`backend=ship_emissions`: tonnes by pollutant, with an interval, from positions and an incomplete register."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, SanityCheck, WorkloadTables
from framework.errors import ConfigError
from framework_maritime.emissions.activity import Activity
from framework_maritime.emissions.totals import POLLUTANTS, Engines, grams_by_ship
from framework_maritime.fleet.register import Register, engines_of, passenger
from framework_maritime.fleet.ship_types import SHIP_TYPES
from framework_maritime.imputation.imputers import IMPUTERS, Draws, Known, impute
from framework_maritime.imputation.intervals import interval
from framework_maritime.imputation.movement import FEATURES, SCALINGS, movement_features
from framework_maritime.settings import EmissionSettings
from framework_maritime.study.fleet_tables import FleetTables
from framework_maritime.study.maps import emission_cells, track_points
from framework_maritime.study.truth import truth_metrics

Array = npt.NDArray[np.float64]

TONNE_G = 1e6


class EmissionBackend:
    """Computes a fleet's emissions. Keys: see `EmissionSettings`."""

    def __init__(self, **keys: Any) -> None:
        self.settings = EmissionSettings(**{key: value for key, value in keys.items() if key != "_target_"})
        for key, known in (
            ("imputer", ("none", *IMPUTERS)),
            ("features", FEATURES),
            ("scaling", SCALINGS),
            ("factors", ("steam", "epa")),
        ):
            if getattr(self.settings, key) not in known:
                raise ConfigError(
                    f"configuration key 'backend.{key}': unknown {key} '{getattr(self.settings, key)}'"
                    f" (known: {', '.join(known)})"
                )
        for key, least in (("step_s", 1), ("fits", 1), ("draws", 1), ("hidden", 1), ("delay", 1)):
            if getattr(self.settings, key) < least:
                value = getattr(self.settings, key)
                raise ConfigError(f"configuration key 'backend.{key}': must be at least {least}, got {value}")
        if not 0.5 <= self.settings.level < 1:
            raise ConfigError(
                f"configuration key 'backend.level': must be in [0.5, 1), got {self.settings.level}"
            )

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a workload without ships, or a register that teaches nothing."""
        fleet = FleetTables.of(workload)
        known = np.isfinite(fleet.register.numbers("main_kw")) & np.isfinite(
            fleet.register.numbers("design_speed_kn")
        )
        if self.settings.imputer != "none" and known.sum() < 2:
            raise ConfigError(
                f"backend.imputer: the register knows power and design speed of {int(known.sum())} ships;"
                " at least 2 are needed to fill in the others (workload.register)"
            )

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return totals with intervals, what each ship emits, and maps; errors where the truth is known."""
        fleet = FleetTables.of(workload)
        context.progress(0.1, f"activity of {len(fleet)} ships")
        pieces = fleet.pieces(self.settings.step_s)
        done = fleet.activity(pieces)
        engines = engines_of(fleet.register)
        context.progress(0.2, f"imputation by {self.settings.imputer}")
        draws = self._draws(fleet, context.seed)
        context.progress(0.6, "emissions of each draw")
        mass = _grams(draws, engines, fleet.register, done, self.settings.factors)
        context.progress(0.9, "maps")
        complete = _complete_records(fleet.register)
        fits = self.settings.fits
        metrics = _totals(mass, complete, fits, self.settings.level)
        metrics.append(Metric("ships_imputed", float((~complete).sum()), "", "register"))
        if fleet.truth is not None:
            true = grams_by_ship(engines_of(fleet.truth), done, self.settings.factors)
            metrics += truth_metrics(mass, draws, true, fleet, complete, fits, self.settings.level)
        mean = {name: np.nanmean(values, axis=0) for name, values in mass.items()}
        tables = {
            "ship_emissions": _ship_table(fleet.register, draws, mass, mean, complete, self.settings.level),
            "emission_cells": emission_cells(pieces, mean["co2"]),
            "track_points": track_points(fleet, context.seed),
        }
        return Result(metrics, tables, {"factors": self.settings.factors}, _checks(workload, pieces, done))

    def _draws(self, fleet: FleetTables, seed: int) -> Draws:
        register, settings = fleet.register, self.settings
        kw, kn = register.numbers("main_kw"), register.numbers("design_speed_kn")
        if settings.imputer == "none":
            return Draws(register.types[None], kw[None], kn[None])
        known = np.isfinite(kw) & np.isfinite(kn)
        learner = settings.imputer in ("neighbours", "boosting", "forest")
        features = movement_features(
            fleet.series(),
            known,
            settings.features if learner else "none",
            settings.delay,
            settings.hidden,
            settings.scaling,
            seed,
        )
        with np.errstate(invalid="ignore"):
            ships = Known(
                register.types, np.log(kw), np.log(kn), np.log(register.numbers("length_m")), features
            )
        return impute(ships, settings.imputer, settings.fits, settings.draws, seed)


def _complete_records(register: Register) -> npt.NDArray[np.bool_]:
    """Return ships of which the register knows type, power and design speed."""
    known = np.isfinite(register.numbers("main_kw")) & np.isfinite(register.numbers("design_speed_kn"))
    return np.asarray(known & (register.types != ""))


def _grams(
    draws: Draws, engines: Engines, register: Register, done: Activity, factors: str
) -> dict[str, Array]:
    """Return grams by pollutant: (draws, ships). What follows from the type follows the drawn type."""
    found: dict[str, list[Array]] = {name: [] for name in POLLUTANTS}
    unknown = {name: np.isnan(register.numbers(name)) for name in ("main_engines", "main_rpm", "aux_kw")}
    for types, kw, kn in zip(draws.types, draws.kw, draws.design_kn, strict=True):
        typical = [SHIP_TYPES.get(str(name)) for name in types]

        def filled(name: str, values: Array, attribute: str) -> Array:
            of_type = np.array([getattr(kind, attribute) if kind else np.nan for kind in typical], float)  # noqa: B023
            return np.where(unknown[name] & np.isfinite(of_type), of_type, values)

        these = replace(
            engines.with_main(kw, kn, passenger(types)),
            main_engines=filled("main_engines", engines.main_engines, "engines"),
            main_rpm=filled("main_rpm", engines.main_rpm, "rpm"),
            aux_kw=filled("aux_kw", engines.aux_kw, "aux_kw"),
        )
        for name, values in grams_by_ship(these, done, "epa" if factors == "epa" else "steam").items():
            found[name].append(values)
    return {name: np.array(values) for name, values in found.items()}


def _totals(mass: dict[str, Array], complete: npt.NDArray[np.bool_], fits: int, level: float) -> list[Metric]:
    found = []
    for name, values in mass.items():
        total = interval(np.nansum(values, axis=1) / TONNE_G, fits, level)
        found.append(Metric(f"{name}_t", total.mean, "t", "model", low=total.low, high=total.high))
    today = float(np.nansum(mass["co2"][:, complete], axis=1).mean())
    whole = float(np.nansum(mass["co2"], axis=1).mean())
    found.append(
        Metric("co2_added_share", whole / today - 1, "", "model")
        if today > 0
        else Metric.absent("co2_added_share", "no ship has a complete record", "", "model")
    )
    return found


def _ship_table(
    register: Register,
    draws: Draws,
    mass: dict[str, Array],
    mean: dict[str, Array],
    complete: npt.NDArray[np.bool_],
    level: float,
) -> pa.Table:
    """Return a row for each ship; unknown stays null. `total_variance_share` says what looking it up would tell."""
    tail = [(1 - level) / 2, (1 + level) / 2]
    kw_low, kw_high = np.quantile(draws.kw, tail, axis=0)
    co2_low, co2_high = np.quantile(mass["co2"], tail, axis=0)
    variance = mass["co2"].var(axis=0)
    total = float(np.nansum(variance))
    modal = [max(set(column.tolist()), key=column.tolist().count) for column in draws.types.T]
    columns: dict[str, Any] = {
        "ship_id": register.table["ship_id"],
        "ship_type": pa.array([name or None for name in modal], pa.string()),
        "complete_record": complete,
        "main_kw": _nullable(draws.kw.mean(axis=0)),
        "main_kw_low": _nullable(kw_low),
        "main_kw_high": _nullable(kw_high),
        "co2_low_kg": _nullable(co2_low / 1e3),
        "co2_high_kg": _nullable(co2_high / 1e3),
        "total_variance_share": _nullable(variance / total if total > 0 else np.zeros_like(variance)),
    }
    for name in POLLUTANTS:
        columns[f"{name}_kg"] = _nullable(mean[name] / 1e3)
    return pa.table(columns)


def _nullable(values: Array) -> pa.Array:
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _checks(workload: WorkloadTables, pieces: Any, done: Activity) -> list[SanityCheck]:
    left_out = dict(workload.facts.get("cleaning") or {})
    messages = int(workload.facts.get("messages") or 0)
    number = sum(left_out.values())
    detail = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "no message was left out"
    checks = [SanityCheck("messages_used", "warn" if number > 0.05 * max(1, messages) else "pass", detail)]
    missing = workload.facts.get("ships_without_register_row")
    if missing:
        checks.append(
            SanityCheck("ships_in_register", "warn", f"{missing} ships have no row in the register")
        )
    same = abs(float(pieces.duration_s.sum()) - float(done.duration_s.sum())) <= 1e-6 * max(
        1.0, float(done.duration_s.sum())
    )
    checks.append(
        SanityCheck(
            "time_is_kept", "pass" if same else "fail", f"{pieces.duration_s.sum() / 3600:.1f} ship-hours"
        )
    )
    return checks
