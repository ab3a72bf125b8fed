"""A number with the interval around it, and the noise floor that stands in where no interval is known."""

from __future__ import annotations

from dataclasses import dataclass

from framework.analysis.noise import NOISE_FLOOR


class NotEvaluatedError(Exception):
    """The runs at hand can't answer the claim; the text says what is missing."""


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
