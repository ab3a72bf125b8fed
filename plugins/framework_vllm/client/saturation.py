"""Is a load more than the servers can take? A trend test on TTFT and on the queue.

Above capacity the queue grows for ever: with an offered rate of ρ times what is served, the TTFT of requests that
now get their first token grows by 1 - 1/ρ seconds a second, and the queue in proportion. Below it, both wander
about a mean. Both are strongly correlated in time, so the window is cut into a few bins and only the order of
their means is used.

Slope and its lower bound: H. Theil (1950) and P. K. Sen (1968), "Estimates of the regression coefficient based on
Kendall's tau", J. Am. Stat. Assoc. 63; the bound is the pairwise slope at the rank given by the exact
distribution of Kendall's statistic (Hollander and Wolfe, Nonparametric Statistical Methods, section 9.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from framework_vllm.client.load_contracts import SaturationRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """A slope over time: median of the pairwise slopes, and its one-sided lower confidence bound."""

    value: float
    low: float


@dataclass(frozen=True)
class Saturation:
    """Verdict at one moment.

    Attributes:
        saturated: both slopes are above their limits with the asked confidence.
        ttft_s_per_s: trend of TTFT by time of the first token; None when there is too little data.
        queue_per_s: trend of the number of requests that wait for their first token.
    """

    saturated: bool
    ttft_s_per_s: Slope | None = None
    queue_per_s: Slope | None = None


def judge(arrival_s: FloatArray, first_token_s: FloatArray, now_s: float, rule: SaturationRule) -> Saturation:
    """Judge the last window of a load that is still going on.

    TTFT is taken at the time of the first token, where nothing is censored: what still waits is in the queue.

    Args:
        arrival_s: arrivals so far, in any order.
        first_token_s: first token of each, in the same order; NaN where there is none yet.
        now_s: the time; later values are ignored.
        rule: window, bins, confidence, limits.
    """
    import numpy as np

    start_s = now_s - rule.window_s
    if start_s < rule.warmup_s:
        return Saturation(False)
    edges = np.linspace(start_s, now_s, rule.bins + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    came = arrival_s[arrival_s <= now_s]
    got = first_token_s <= now_s  # false for NaN
    arrived = np.searchsorted(np.sort(came), middles, side="right")
    begun = np.searchsorted(np.sort(first_token_s[got]), middles, side="right")
    queue = slope(middles, (arrived - begun).astype(np.float64), rule.confidence)
    where = np.digitize(first_token_s[got], edges) - 1
    inside = (where >= 0) & (where < rule.bins)
    counts = np.bincount(where[inside], minlength=rule.bins)
    if (counts > 0).sum() < rule.bins - 1:  # so few first tokens have no trend
        return Saturation(False, None, queue)
    waits = (first_token_s[got] - arrival_s[got])[inside]
    sums = np.bincount(where[inside], weights=waits, minlength=rule.bins)
    full = counts > 0
    ttft = slope(middles[full], sums[full] / counts[full], rule.confidence)
    saturated = ttft is not None and queue is not None and ttft.low > rule.ttft_slope_min and queue.low > 0.0
    return Saturation(saturated, ttft, queue)


def slope(times_s: FloatArray, values: FloatArray, confidence: float) -> Slope | None:
    """Return Theil and Sen's slope with its lower bound; None if there are too few points for the confidence."""
    import numpy as np

    n = len(times_s)
    if n < 3:
        return None
    rank = _lower_rank(n, confidence)
    if rank is None:
        return None
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((values[second] - values[first]) / (times_s[second] - times_s[first]))
    return Slope(float(np.median(slopes)), float(slopes[rank]))


@lru_cache(32)
def _lower_rank(n: int, confidence: float) -> int | None:
    """Return the rank (from 0) of the pairwise slope that bounds the true one from below.

    Without a trend every order of n values is equally likely; the number of pairs in falling order then is the
    number of inversions of a random permutation. The bound is the largest rank r such that fewer than r + 1 falling
    pairs have a probability of at most 1 - confidence.
    """
    import numpy as np

    chance = np.ones(1)
    for size in range(2, n + 1):
        chance = np.convolve(chance, np.full(size, 1.0 / size))
    below = np.cumsum(chance) <= 1.0 - confidence
    return int(below.sum()) - 1 if below.any() else None
