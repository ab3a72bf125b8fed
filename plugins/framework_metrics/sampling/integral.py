"""The integral, and the mean over time, of a quantity that was sampled, with bounds. Pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framework_metrics.sampling.window import Window

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

GAP_PERIODS = 5.0
"""A gap is a time without a sample that is longer than so many median periods."""

MAX_UNSEEN_SHARE = 0.05
"""Share of a window that may lie before the first sample, after the last, or in gaps without a remark."""

_Z95 = 1.96


class NotCoveredError(Exception):
    """The samples do not reach over the window; the text is the reason."""


@dataclass(frozen=True)
class Integral:
    """The integral of a sampled quantity over a window.

    Attributes:
        value, low, high: estimate, and bounds of what is between the samples.
        window_s: length of the window.
        samples: within the window.
        period_s: median time between samples.
        gaps_s: part of the window without samples.
    """

    value: float
    low: float
    high: float
    window_s: float
    samples: int
    period_s: float
    gaps_s: float

    @property
    def mean(self) -> float:
        """Mean over time."""
        return self.value / self.window_s


def integrate(t_s: Floats, values: Floats, window: Window) -> Integral:
    """Return the integral over a window by the trapezoid rule.

    Bounds: 1.96 standard errors of a systematic sample by successive differences (Wolter, "Introduction to Variance
    Estimation", 2nd ed., §8.2, estimator v2), and within gaps the lowest and highest value seen.

    Args:
        t_s: shape (n,), ascending.
        values: shape (n,), of something that is never negative.
        window: on the clock of `t_s`.

    Raises:
        NotCoveredError: fewer than two samples, or none in 5 % of the window (and two periods) at its begin or end.
    """
    if len(t_s) < 2:
        raise NotCoveredError("only one sample" if len(t_s) else "no sample")
    period_s = float(np.median(np.diff(t_s)))
    require_cover(t_s, window, period_s)
    at = np.concatenate(
        [[window.begin_s], t_s[(t_s > window.begin_s) & (t_s < window.end_s)], [window.end_s]]
    )
    known = np.interp(at, t_s, values)
    value = float(np.sum(0.5 * (known[1:] + known[:-1]) * np.diff(at)))
    gaps = np.diff(t_s) > GAP_PERIODS * period_s
    too_high, too_low, gaps_s = _gap_errors(t_s, values, gaps, window)
    error = _Z95 * _sampling_error(t_s, values, gaps, window)
    return Integral(
        value=value,
        low=max(0.0, value - error - too_high),
        high=value + error + too_low,
        window_s=window.length_s,
        samples=int(np.count_nonzero(window.holds(t_s))),
        period_s=period_s,
        gaps_s=gaps_s,
    )


def require_cover(t_s: Floats, window: Window, period_s: float) -> None:
    """Raise `NotCoveredError` if too much of the window is before the first or after the last sample."""
    if window.length_s <= 0:
        raise NotCoveredError("the window has length 0")
    before_s = max(0.0, float(t_s[0]) - window.begin_s)
    after_s = max(0.0, window.end_s - float(t_s[-1]))
    if before_s + after_s > max(MAX_UNSEEN_SHARE * window.length_s, 2 * period_s):
        side = f"the last {after_s:.3g} s" if after_s >= before_s else f"the first {before_s:.3g} s"
        raise NotCoveredError(f"no samples in {side} of {window.length_s:.3g} s")


def _sampling_error(t_s: Floats, values: Floats, gaps: npt.NDArray[np.bool_], window: Window) -> float:
    """Return the standard error of the integral, gaps left out; that of a mean is v2 = Σ dᵢ² / (2 n (n−1))."""
    inside = (t_s[:-1] >= window.begin_s) & (t_s[1:] <= window.end_s) & ~gaps
    changes = np.diff(values)[inside]
    n = len(changes) + 1
    if n < 2:
        return float(np.ptp(values)) * window.length_s
    return float(np.sqrt(np.sum(changes**2) / (2 * n * (n - 1)))) * float(np.sum(np.diff(t_s)[inside]))


def _gap_errors(
    t_s: Floats, values: Floats, gaps: npt.NDArray[np.bool_], window: Window
) -> tuple[float, float, float]:
    """Return by how much the integral may be too high and too low in gaps, and their length (s)."""
    lowest, highest = float(values.min()), float(values.max())
    too_high = too_low = gaps_s = 0.0
    for place in np.flatnonzero(gaps):
        begin, end = max(float(t_s[place]), window.begin_s), min(float(t_s[place + 1]), window.end_s)
        if end > begin:
            mean = 0.5 * float(values[place] + values[place + 1])
            too_high += (mean - lowest) * (end - begin)
            too_low += (highest - mean) * (end - begin)
            gaps_s += end - begin
    return too_high, too_low, gaps_s
