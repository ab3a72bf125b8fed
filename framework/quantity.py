"""A number with the interval around it, and how much two runs of one configuration differ."""

from __future__ import annotations

from dataclasses import dataclass

NOISE_FLOOR = 0.04
"""Relative difference of two runs of one configuration that still occurs on other GPUs and days: worst of 18 repeated
configurations of arXiv 2503.08311's logs, 4.3 % in throughput, 4.8 % in ITL (median 0.5 %)."""


def student_t_975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t: half-width of a two-sided 95 % interval in standard errors."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


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
