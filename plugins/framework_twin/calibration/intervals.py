"""Prediction intervals from held-out residuals, in the manner of split conformal prediction.

A fitted residual is too small, so intervals come from runs whose whole family was left out of the fit.
They are factors on the prediction, by metric and by regime as *predicted* (what is known beforehand).

Runs of a family are off in the same direction, so a new family is one new draw, however many runs the others have.
Of few families the order statistics say little of the next one: their reach is then that of Student's t against the
normal, with a degree of freedom a family, and the same to both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework_twin.measured.measured_runs import RunSetup
from framework_twin.physics.regimes import EVERY_REGIME, saturation_regime

Intervals = Mapping[str, Mapping[str, tuple[float, float]]]

COVERAGE = 0.8
_FEWEST = 12
_ENOUGH_FAMILIES = 9
"""So many families have a smallest and a largest residual that lie in the two tails of a tenth: k of k + 1."""


@dataclass(frozen=True)
class HeldOut:
    """One run's measured over predicted value, the run's family left out of the fit."""

    family: str
    metric: str
    regime: str
    factor: float


def predicted_regime(setup: RunSetup, values: Mapping[str, float]) -> str:
    """Return `burst`, `offline`, or `below`, `at`, `above` saturation as the prediction sees it."""
    if setup.arrival != "poisson":
        return "offline" if setup.offline else "burst"
    return saturation_regime(values["total_tok_s"] / setup.offered_tok_s)


def fit_intervals(residuals: Sequence[HeldOut]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return metric → regime → (low, high) factors that hold `COVERAGE` of the residuals.

    A regime with fewer than a dozen runs has no interval of its own; `all` pools every regime.
    """
    out: dict[str, dict[str, tuple[float, float]]] = {}
    for metric in sorted({item.metric for item in residuals}):
        of_metric = [item for item in residuals if item.metric == metric]
        groups = {EVERY_REGIME: of_metric}
        for item in of_metric:
            groups.setdefault(item.regime, []).append(item)
        out[metric] = {
            name: _band(items)
            for name, items in groups.items()
            if name == EVERY_REGIME or len(items) >= _FEWEST
        }
    return out


def interval(intervals: Intervals, metric: str, regime: str, value: float) -> tuple[float, float] | None:
    """Return (low, high) around a predicted value, None where no residuals are known for the metric."""
    of_metric = intervals.get(metric)
    if not of_metric:
        return None
    low, high = of_metric.get(regime) or of_metric[EVERY_REGIME]
    return value * low, value * high


def coverage(residuals: Sequence[HeldOut]) -> dict[str, float]:
    """Return metric → share of runs inside intervals made without their own family's residuals."""
    inside: dict[str, list[bool]] = {}
    for (metric, _), hits in inside_without_family(residuals).items():
        inside.setdefault(metric, []).extend(hits)
    return {metric: float(np.mean(hits)) for metric, hits in inside.items()}


def inside_without_family(residuals: Sequence[HeldOut]) -> dict[tuple[str, str], list[bool]]:
    """Return metric and family → whether each run is inside the interval that the other families make."""
    inside: dict[tuple[str, str], list[bool]] = {}
    for family in sorted({item.family for item in residuals}):
        others = fit_intervals([item for item in residuals if item.family != family])
        for item in residuals:
            band = interval(others, item.metric, item.regime, 1.0) if item.family == family else None
            if band:
                inside.setdefault((item.metric, family), []).append(band[0] <= item.factor <= band[1])
    return inside


def _band(items: Sequence[HeldOut]) -> tuple[float, float]:
    """Order statistics with the finite-sample correction of conformal prediction, at least ±0.5 %."""
    tail = max(0.0, (1.0 - COVERAGE) / 2.0 - 0.5 / (len(items) + 1))
    low, high = np.quantile([item.factor for item in items], [tail, 1.0 - tail])
    families = len({item.family for item in items})
    if families < _ENOUGH_FAMILIES:
        reach = max(1.0 / float(low), float(high)) ** _small_sample(families)
        low, high = 1.0 / reach, reach
    return min(float(low), 0.995), max(float(high), 1.005)


def _small_sample(families: int) -> float:
    """Return how much further than the normal law Student's t reaches with so many degrees of freedom."""
    from scipy.special import ndtri, stdtrit

    upper = (1.0 + COVERAGE) / 2.0
    return float(stdtrit(families, upper) / ndtri(upper))
