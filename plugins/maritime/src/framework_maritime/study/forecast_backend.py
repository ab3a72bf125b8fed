"""`backend=ship_forecast`: forecast and reconstruction of ships that the model hasn't seen, scored apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, SanityCheck, WorkloadTables
from framework.errors import ConfigError
from framework_maritime.series.crbm import train
from framework_maritime.series.forecasting import (
    LEARNERS,
    crbm_forecaster,
    crbm_reconstruction,
    forecaster,
    nrmse,
    training_windows,
)
from framework_maritime.series.windows import Forecaster, Scaler, Series, usable_rows
from framework_maritime.settings import ForecastSettings
from framework_maritime.study.fleet_tables import FleetTables

Array = npt.NDArray[np.float64]

SHORT = ("turn", "speed", "depth")


class ForecastBackend:
    """Splits the ships, fits the learner to some, scores it on others. Keys: see `ForecastSettings`."""

    def __init__(self, **keys: Any) -> None:
        self.settings = ForecastSettings(**{key: value for key, value in keys.items() if key != "_target_"})
        if self.settings.learner not in LEARNERS:
            raise ConfigError(
                f"configuration key 'backend.learner': unknown learner '{self.settings.learner}'"
                f" (known: {', '.join(LEARNERS)})"
            )
        for key in ("delay", "hidden", "season", "test_ships", "test_rows"):
            if getattr(self.settings, key) < 1:
                value = getattr(self.settings, key)
                raise ConfigError(f"configuration key 'backend.{key}': must be at least 1, got {value}")
        if not 0 < self.settings.test_share < 1:
            value = self.settings.test_share
            raise ConfigError(f"configuration key 'backend.test_share': must lie in (0, 1), got {value}")

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a workload without ships, or too few to keep some back."""
        if len(FleetTables.of(workload)) < 3:
            raise ConfigError(
                "backend=ship_forecast needs at least 3 ships: some to learn from, some to test on"
            )

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return NRMSE of forecast, and of reconstruction where the learner has one: median, mean, 90 % quantile."""
        settings = self.settings
        series = FleetTables.of(workload).series()
        training, tests = split(series, settings.test_share, settings.delay, context.seed)
        context.progress(0.1, f"learning from {len(training)} ships")
        ahead, rebuild = self._fitted(training, context.seed)
        rows = [_scored_rows(one, settings.delay, settings.test_rows) for one in tests]
        usable = [(one, r) for one, r in zip(tests, rows, strict=True) if len(r) >= 20][: settings.test_ships]
        if not usable:
            raise ConfigError("backend=ship_forecast: no test ship has 20 rows with a whole history")
        errors, rebuilt = [], []
        for number, (one, r) in enumerate(usable):
            context.progress(0.3 + 0.7 * number / len(usable), f"ship {number + 1} of {len(usable)}")
            spread = one.values[r].std(axis=0)
            errors.append(nrmse(ahead(one, r), one.values[r], spread))
            if rebuild is not None:
                rebuilt.append(nrmse(rebuild(one, r), one.values[r], spread))
        metrics = [*_scores("forecast", np.array(errors)), *_scores("reconstruction", np.array(rebuilt))]
        table = pa.table(
            {
                "ship": np.arange(len(errors)),
                **{f"nrmse_{n}": v for n, v in zip(SHORT, np.array(errors).T, strict=True)},
            }
        )
        left = len(tests) - len(usable)
        checks = [
            SanityCheck(
                "ships_scored",
                "pass",
                f"{len(usable)} ships scored, {left} not (too short, or above test_ships)",
            )
        ]
        return Result(metrics, {"forecast_errors": table}, {"learner": settings.learner}, checks)

    def _fitted(self, training: list[Series], seed: int) -> tuple[Forecaster, Forecaster | None]:
        settings = self.settings
        if settings.learner != "crbm":
            return forecaster(
                settings.learner, training, settings.delay, settings.hidden, settings.season, seed
            ), None
        scaler = Scaler.of(np.concatenate([one.values for one in training]))
        v, past = training_windows(training, scaler, settings.delay, 30_000, seed)
        machine = train(v, past, settings.hidden, seed=seed)
        return crbm_forecaster(machine, scaler, settings.delay), crbm_reconstruction(
            machine, scaler, settings.delay
        )


def split(
    series: list[Series], test_share: float, delay: int, seed: int
) -> tuple[list[Series], list[Series]]:
    """Return ships to learn from and ships to test on; no ship is in both."""
    order = np.random.default_rng([seed, 23]).permutation(len(series))
    tests = max(1, round(test_share * len(series)))
    return [series[row] for row in order[tests:]], [series[row] for row in order[:tests]]


def _scored_rows(one: Series, delay: int, most: int) -> npt.NDArray[np.int64]:
    """Return the last rows with a whole history; ARIMA is fitted to what lies before the first of them."""
    rows = usable_rows(one, delay)
    return rows[rows >= len(one.values) // 3][:most]


def _scores(kind: str, errors: Array) -> list[Metric]:
    found = []
    for column, name in enumerate(SHORT):
        known = errors[:, column][np.isfinite(errors[:, column])] if len(errors) else np.zeros(0)
        for word in ("median", "mean", "p90"):
            metric = f"{kind}_nrmse_{name}_{word}"
            if not len(known):
                reason = (
                    "the learner has no reconstruction"
                    if kind == "reconstruction" and not len(errors)
                    else ("the variable never changes in the scored rows")
                )
                found.append(Metric.absent(metric, reason, "", "held-out ships"))
                continue
            value = {"median": np.median(known), "mean": known.mean(), "p90": np.quantile(known, 0.9)}[word]
            found.append(Metric(metric, float(value), "", "held-out ships"))
    return found
