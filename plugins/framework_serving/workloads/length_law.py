"""Laws of token counts: distributions over whole numbers in a range, with exactly the moments asked for.

The original study drew lengths as `max(1, round(N(mean, std)))` with std above the mean; the clipping alone
added 11 % tokens (science note on adapter serving, §3.1). Here a law is a probability for each allowed count,
and its parameters are solved so that the mean and the standard deviation *after* truncation and rounding are
the configured ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from framework.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

TAIL_STDS = 20  # an open upper end is this many standard deviations above the mean
_MEAN_TOLERANCE = 1e-9
_STD_TOLERANCE = 1e-5
_SHAPE_LIMITS = (1e-3, 50.0)  # coefficient of variation of the law before truncation


@dataclass(frozen=True, eq=False)
class LengthLaw:
    """Probabilities of the token counts `low`, `low + 1` …

    Attributes:
        low: smallest count.
        probabilities: one a count, sum 1.
    """

    low: int
    probabilities: FloatArray

    @property
    def high(self) -> int:
        """Largest count."""
        return self.low + len(self.probabilities) - 1

    @property
    def mean(self) -> float:
        """Mean count."""
        return _moments(self.probabilities, self._counts())[0]

    @property
    def std(self) -> float:
        """Standard deviation of the count."""
        return _moments(self.probabilities, self._counts())[1]

    def _counts(self) -> FloatArray:
        import numpy as np

        return np.arange(self.low, self.high + 1, dtype=np.float64)

    def sample(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return n counts in random order, stratified over the law, whose sum is round(n · mean).

        Stratification (one draw from each of n equally likely slices) keeps the shape at small n; the last
        few tokens that are missing or too many are spread at random, one a request.
        """
        import numpy as np

        slices = (np.arange(n) + rng.random(n)) / n
        cumulative = np.cumsum(self.probabilities)
        # Slices ascend, and a law has far fewer steps than there are slices: the steps are sought among the slices.
        ends = np.searchsorted(slices, cumulative[:-1], side="left")
        each = np.diff(ends, prepend=0, append=n)
        counts = np.repeat(np.arange(self.low, self.high + 1, dtype=np.int64), each)
        rng.shuffle(counts)
        _settle_sum(counts, round(n * self.mean), self.low, self.high, rng)
        return counts


def _settle_sum(
    counts: npt.NDArray[np.int64], total: int, low: int, high: int, rng: np.random.Generator
) -> None:
    import numpy as np

    while (missing := total - int(counts.sum())) != 0:
        movable = np.flatnonzero(counts < high if missing > 0 else counts > low)
        chosen = rng.choice(movable, size=min(abs(missing), movable.size), replace=False)
        counts[chosen] += 1 if missing > 0 else -1


def fixed_law(tokens: int) -> LengthLaw:
    """Every request has the same count."""
    import numpy as np

    return LengthLaw(tokens, np.ones(1))


@lru_cache(maxsize=64)
def moment_law(kind: str, mean: float, std: float, low: int, high: int | None, key: str) -> LengthLaw:
    """Return the truncated gamma or lognormal law with this mean and standard deviation.

    A standard deviation below one token gives the two whole numbers around the mean.

    Args:
        kind: `gamma` or `lognormal`.
        mean, std: moments of the law on [low, high], tokens.
        low, high: allowed range; `high=None` is `TAIL_STDS` deviations above the mean.
        key: configuration path of this length without suffix (`workload.lengths.input`), for errors.

    Raises:
        ConfigError: no such law has these moments on that range.
    """
    import numpy as np

    top = open_end(mean, std) if high is None else high
    _check_range(mean, low, top, key)
    if std < 1.0:
        return _two_point_law(mean, low, top)
    counts = np.arange(low, top + 1, dtype=np.float64)
    return LengthLaw(low, _with_moments(kind, mean, std, counts, key))


def open_end(mean: float, std: float) -> int:
    """Return the largest count of a law whose upper end is open, tokens."""
    return math.ceil(mean + TAIL_STDS * std) + 1


@lru_cache(maxsize=64)
def widest_std(kind: str, mean: float, low: int, high: int) -> float:
    """Return the largest standard deviation that a law of this kind and mean reaches on [low, high], tokens."""
    import numpy as np

    counts = np.arange(low, high + 1, dtype=np.float64)
    return _moments(_shaped(kind, mean, _SHAPE_LIMITS[1], counts), counts)[1]


def histogram_law(
    bins: Sequence[Sequence[float]], mean: float | None, low: int, high: int | None, key: str
) -> LengthLaw:
    """Return the law of a histogram, uniform within a bin, cut to [low, high].

    Args:
        bins: [first count, last count, weight] each, in increasing order without overlap.
        mean: if given, probabilities are tilted by exp(λ · count) so that this is the mean.
        low, high: allowed range.
        key: configuration path without suffix, for errors.

    Raises:
        ConfigError: a malformed bin, named by its position; no weight in range; mean out of reach.
    """
    import numpy as np

    edges = _checked_bins(bins, f"{key}_histogram")
    first, last = max(low, int(edges[0][0])), int(edges[-1][1])
    last = last if high is None else min(last, high)
    weights = np.zeros(max(last - first + 1, 0))
    for start, end, weight in edges:
        inside = slice(max(int(start), first) - first, max(min(int(end), last) - first + 1, 0))
        weights[inside] = weight / (end - start + 1)
    if not weights.sum() > 0:
        raise ConfigError(
            f"{key}_histogram: no weight within {low} to {'∞' if high is None else high} tokens"
        )
    law = LengthLaw(first, weights / weights.sum())
    if mean is None:
        return law
    support = np.flatnonzero(weights) + first
    _check_range(mean, int(support[0]), int(support[-1]), key)
    counts = np.arange(first, last + 1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return LengthLaw(first, _tilted(np.log(weights), counts, counts, mean, 0.0))


def _checked_bins(bins: Sequence[Sequence[float]], key: str) -> list[tuple[float, float, float]]:
    checked: list[tuple[float, float, float]] = []
    for position, item in enumerate(bins):
        try:
            start, end, weight = (float(value) for value in item)
        except (TypeError, ValueError):
            raise ConfigError(f"{key}: bin {position} must be [first, last, weight], got {item!r}") from None
        if start != int(start) or end != int(end) or not 0 < start <= end:
            raise ConfigError(f"{key}: bin {position} must span whole token counts from 1, got {list(item)}")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"{key}: bin {position} has weight {weight}")
        if checked and start <= checked[-1][1]:
            raise ConfigError(f"{key}: bin {position} starts at {start:g}, inside the bin before it")
        checked.append((start, end, weight))
    if not checked:
        raise ConfigError(f"{key}: at least one bin [first, last, weight] is needed")
    return checked


def _check_range(mean: float, low: int, high: int, key: str) -> None:
    if low > high:
        raise ConfigError(f"{key}_min: {low} is above {key}_max {high}")
    if not low <= mean <= high:
        raise ConfigError(f"{key}_tokens: a mean of {mean:g} is impossible within {low} to {high} tokens")


def _two_point_law(mean: float, low: int, high: int) -> LengthLaw:
    import numpy as np

    floor = min(math.floor(mean), high)
    share = mean - floor
    return LengthLaw(floor, np.array([1.0 - share, share] if share > 0 else [1.0]))


def _moments(probabilities: FloatArray, counts: FloatArray) -> tuple[float, float]:
    mean = float(probabilities @ counts)
    return mean, math.sqrt(max(float(probabilities @ (counts - mean) ** 2), 0.0))


def _with_moments(kind: str, mean: float, std: float, counts: FloatArray, key: str) -> FloatArray:
    """Solve for the law's own shape so that the truncated law has the standard deviation asked for."""

    def excess(log_shape: float) -> float:
        return _moments(_shaped(kind, mean, math.exp(log_shape), counts), counts)[1] / std - 1.0

    narrowest, widest = (math.log(limit) for limit in _SHAPE_LIMITS)
    start = math.log(std / mean)
    low = max(start - 1.0, narrowest)
    high = min(max(start, 0.0) + 1.0, widest)
    while high < widest and excess(high) < 0:
        low, high = high, min(high + 1.0, widest)
    if (most := excess(high)) < -_STD_TOLERANCE:
        reach = (1.0 + most) * std
        raise ConfigError(
            f"{key}_std: {std:g} is impossible for a {kind} distribution with mean {mean:g} on "
            f"{counts[0]:.0f} to {counts[-1]:.0f} tokens (at most {reach:.4g})"
        )
    shape = math.exp(_bracketed_root(excess, low, high, start, _STD_TOLERANCE))
    return _shaped(kind, mean, shape, counts)


def _shaped(kind: str, mean: float, shape: float, counts: FloatArray) -> FloatArray:
    """Return the law of a kind with this mean; `shape` is its coefficient of variation before truncation."""
    import numpy as np

    logs = np.log(counts)
    if kind == "gamma":
        order = 1.0 / shape**2
        return _tilted((order - 1.0) * logs, counts, counts, mean, -order / mean)
    variance = math.log1p(shape**2)
    location = math.log(mean) - variance / 2.0
    return _tilted(-(logs**2) / (2.0 * variance) - logs, logs, counts, mean, location / variance)


def _tilted(
    base: FloatArray, statistic: FloatArray, counts: FloatArray, mean: float, start: float
) -> FloatArray:
    """Return p ∝ exp(base + λ · statistic) with the λ, sought from `start`, that gives the mean.

    Newton's method on log(mean), whose slope is Cov(count, statistic) / mean; the mean rises with λ, so every
    step also narrows a bracket, and a step that would leave the bracket halves it instead.
    """
    import numpy as np

    scale = float(statistic.max() - statistic.min()) or 1.0
    scaled = statistic / scale
    tilt, low, high = start * scale, -math.inf, math.inf
    for _ in range(200):
        exponent = base + tilt * scaled
        weights: FloatArray = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        now = float(weights @ counts)
        miss = math.log(mean / now)
        if abs(miss) <= _MEAN_TOLERANCE:
            break
        low, high = (tilt, high) if miss > 0 else (low, tilt)
        slope = float(weights @ ((counts - now) * scaled)) / now
        step = miss / slope if slope > 0 else math.copysign(1.0, miss)
        following = tilt + step
        if not low < following < high:
            following = (
                0.5 * (low + high) if math.isfinite(low + high) else tilt + math.copysign(abs(tilt) + 1, miss)
            )
        tilt = following
    return weights


def _bracketed_root(
    function: Callable[[float], float], low: float, high: float, start: float, tolerance: float
) -> float:
    """Root of an increasing function: false position (Illinois), with bisection when it stalls."""
    value_low, value_high = function(low), function(high)
    guess = min(max(start, low), high)
    for step in range(200):
        value = function(guess)
        if abs(value) <= tolerance or high - low <= 1e-14 * max(1.0, abs(low)):
            return guess
        if value < 0:
            low, value_low, value_high = guess, value, value_high * 0.5
        else:
            high, value_high, value_low = guess, value, value_low * 0.5
        span = value_high - value_low
        guess = low - value_low * (high - low) / span if span > 0 and step % 4 != 3 else 0.5 * (low + high)
    return guess
