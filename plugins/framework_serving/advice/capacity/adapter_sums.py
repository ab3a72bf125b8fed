"""What a capacity model knows of the adapters on a GPU: sums over them, so that adding one costs one addition.

Everything is intensive (a mean, a ratio) but the load itself: two populations of the same kind and of different size
have the same features, and the size that an engine serves is what is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
SHORT_S, LONG_S = 5.0, 60.0
"""How long a request may stay: an adapter of rate r has one in the batch with probability 1 − e^(−r·S)."""
CROWD_WINDOWS_S = (10.0, 300.0)
OWN_WINDOW_S = 100.0

SUMS = (
    *("n", "rate", "rate2", "short", "long", "rank"),
    *("input", "input2", "output", "output2", "own"),
)
"""Columns of `Adapters.sums`."""


@dataclass(frozen=True, eq=False)
class Adapters:
    """Adapters that receive requests; arrays of shape (n,) each.

    Attributes:
        rate_rps: mean requests per second.
        rank: LoRA rank.
        input_mean, input_std, output_mean, output_std: tokens of a request.
        own_variance: relative variance of an adapter's arrivals over 100 s in addition to Poisson's, each by itself.
        crowd_variance: the same over 10 s and over 300 s of what all adapters have in common.
    """

    rate_rps: FloatArray
    rank: FloatArray
    input_mean: FloatArray
    input_std: FloatArray
    output_mean: FloatArray
    output_std: FloatArray
    own_variance: FloatArray
    crowd_variance: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not (np.all(np.isfinite(self.rate_rps)) and np.all(self.rate_rps >= 0)):
            raise InputError("rates of adapters must be numbers of at least 0")
        if len(self.rank) and self.rank.min() < 1:
            raise InputError("ranks of adapters must be at least 1")

    def __len__(self) -> int:
        return len(self.rate_rps)

    @property
    def load_tok_s(self) -> FloatArray:
        """Offered tokens per second of each adapter, input and output; shape (n,)."""
        return self.rate_rps * (self.input_mean + self.output_mean)

    def some(self, chosen: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Adapters:
        """Return a part of them."""
        fields = {name: value[chosen] for name, value in vars(self).items() if name != "crowd_variance"}
        return Adapters(**fields, crowd_variance=self.crowd_variance)

    def sums(self) -> FloatArray:
        """Return what each adds to the sums of its GPU, shape (n, 11); the largest rank is apart."""
        r = self.rate_rps
        return np.column_stack(
            [
                np.ones(len(r)),
                r,
                r**2,
                -np.expm1(-r * SHORT_S),
                -np.expm1(-r * LONG_S),
                self.rank,
                r * self.input_mean,
                r * (self.input_std**2 + self.input_mean**2),
                r * self.output_mean,
                r * (self.output_std**2 + self.output_mean**2),
                r * self.own_variance,
            ]
        )


def averaged(variance: float, correlation_s: float, window_s: float) -> float:
    """Return the variance of the mean over a window of a factor whose autocorrelation decays exponentially.

    2(x − 1 + e^(−x)) / x² with x = window / correlation time (the variance function of a two-state process).
    """
    if variance <= 0:
        return 0.0
    x = window_s / correlation_s
    return float(variance * 2.0 * (x - 1.0 + np.exp(-x)) / x**2)
