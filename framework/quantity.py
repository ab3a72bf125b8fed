"""A number with the interval around it, and how much two runs of one configuration differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

NOISE_FLOOR = 0.04
"""Relative difference of two runs of one configuration that still occurs on other GPUs and days: worst of 18 repeated
configurations of arXiv 2503.08311's logs, 4.3 % in throughput, 4.8 % in ITL (median 0.5 %)."""


def student_t_975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t: half-width of a two-sided 95 % interval in standard errors.

    Abramowitz and Stegun's expansion in 1/degrees (26.7.5); below 100 degrees Newton's steps lead from there to the
    exact value. SciPy has the same number, and takes a tenth of a second to import.
    """
    x, n = NormalDist().inv_cdf(0.975), degrees
    quantile = x + (x**3 + x) / (4 * n) + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * n**2)
    quantile += (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * n**3)
    quantile += (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / (92160 * n**4)
    if n < 100:
        scale = math.gamma((n + 1) / 2) / math.gamma(n / 2) / math.sqrt(n * math.pi)
        for _ in range(6):
            density = scale * (1 + quantile**2 / n) ** (-(n + 1) / 2)
            quantile -= (_share_within(quantile, n) - 0.95) / (2 * density)
    return quantile


def _share_within(t: float, degrees: int) -> float:
    """Return the probability of a value between -t and t (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    series = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        series += term
    within = math.sin(angle) * series
    return 2 / math.pi * (angle + within) if odd else within


@dataclass(frozen=True)
class Quantity:
    """A value with an interval; `low` and `high` are None where none is known."""

    value: float
    low: float | None = None
    high: float | None = None

    def interval(self, noise: float = NOISE_FLOOR) -> tuple[float, float]:
        """Return (low, high), the noise floor around the value where none is known."""
        spread = abs(self.value) * noise
        return (
            self.value - spread if self.low is None else self.low,
            self.value + spread if self.high is None else self.high,
        )

    @property
    def has_interval(self) -> bool:
        """Whether the interval is the run's own, not the noise floor."""
        return self.low is not None and self.high is not None


def gain(new: Quantity, base: Quantity, noise: float = NOISE_FLOOR) -> Quantity:
    """Return new / base - 1 with its interval: relative half-widths add in quadrature.

    Errors of two runs of one twin profile are partly the same and cancel in the ratio, so for these the
    interval is on the safe side.
    """
    ratio = new.value / base.value
    low_new, high_new = new.interval(noise)
    low_base, high_base = base.interval(noise)
    down = ((1 - low_new / new.value) ** 2 + (high_base / base.value - 1) ** 2) ** 0.5
    up = ((high_new / new.value - 1) ** 2 + (1 - low_base / base.value) ** 2) ** 0.5
    return Quantity(ratio - 1, ratio * (1 - down) - 1, ratio * (1 + up) - 1)
