"""Windows over multivariate series: a row and the `delay` rows before it, never across a gap or between ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Scaling = Literal["global", "ship"]


@dataclass(frozen=True)
class Series:
    """One ship, or one run: values at equal steps of time.

    Attributes:
        values: (steps, variables).
        whole: whether each row follows the one before it without a gap; the first row doesn't.
    """

    values: Array
    whole: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, values: Array, t_s: Array | None = None) -> Series:
        """Build it; with times, a step above 1.5 times the usual one is a gap."""
        whole = np.ones(len(values), bool)
        if t_s is not None and len(t_s) > 2:
            step = np.diff(t_s)
            whole[1:] = step <= 1.5 * float(np.median(step))
        if len(whole):
            whole[0] = False
        return cls(np.asarray(values, float), whole)


Forecaster = Callable[[Series, npt.NDArray[np.int64]], Array]
"""Forecasts the given rows of a series in its own units, from the rows before each."""


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each variable; a constant variable keeps its scale."""

    mean: Array
    sd: Array

    @classmethod
    def of(cls, values: Array) -> Scaler:
        """Fit it to rows."""
        sd = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(sd > 1e-12, sd, 1.0))

    def __call__(self, values: Array) -> Array:
        """Return standard scores."""
        return np.asarray((values - self.mean) / self.sd)


def usable_rows(series: Series, delay: int) -> npt.NDArray[np.int64]:
    """Return the rows that have `delay` rows before them without a gap."""
    run = np.zeros(len(series.whole), np.int64)
    breaks = np.flatnonzero(~series.whole)
    for begin, end in zip(breaks, [*breaks[1:], len(run)], strict=True):
        run[begin:end] = np.arange(end - begin)
    return np.flatnonzero(run >= delay)


def history(values: Array, rows: npt.NDArray[np.int64], delay: int) -> Array:
    """Return (rows, delay × variables): for each row its predecessors, the nearest first; never the row itself."""
    return np.concatenate([values[rows - back] for back in range(1, delay + 1)], axis=1)
