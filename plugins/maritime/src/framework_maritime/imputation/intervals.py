"""An interval from multiple imputation: spread within models, and between them (Rubin's rules)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with limits; None where one draw alone says nothing of its error."""

    mean: float
    low: float | None
    high: float | None


def interval(values: Array, fits: int, level: float) -> Interval:
    """Return the interval of a total over imputed fleets.

    Totals are positive and skewed, so the rule works on their logarithm: total variance = mean variance within a fit
    + (1 + 1/fits) · variance between the fits' means, Student's t with Rubin's degrees of freedom.

    Args:
        values: one total a draw, those of one fit side by side.
        fits: how many fits there are.
        level: of the interval, 0–1.
    """
    mean = float(values.mean())
    if len(values) < 2 or fits < 2 or len(values) // fits < 2 or not (values > 0).all():
        if len(values) < 2:
            return Interval(mean, None, None)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(mean, float(low), float(high))
    from scipy.stats import t

    logs = np.log(values).reshape(fits, -1)
    within = float(logs.var(axis=1, ddof=1).mean())
    between = (1 + 1 / fits) * max(0.0, float(logs.mean(axis=1).var(ddof=1)) - within / logs.shape[1])
    spread = float(np.sqrt(within + between))
    if spread < 1e-12:
        return Interval(mean, mean, mean)
    freedom = (fits - 1) * (1 + within / max(between, 1e-12)) ** 2
    reach = float(t.ppf((1 + level) / 2, min(freedom, 1e6))) * spread
    return Interval(mean, float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach)))
