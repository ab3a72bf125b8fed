"""When requests arrive: burst, constant, Poisson and gamma-gap processes.

The first request arrives at 0 and every time counts from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.configuration.plain_values import number, one_of, whole
from framework.errors import ConfigError
from framework_serving.workloads.settings import ArrivalSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

KINDS = ("burst", "constant", "poisson", "gamma")
MAX_REQUESTS = 20_000_000  # a typing error in a rate should not fill the memory
_DECIMALS = 6  # microseconds: below any clock that could confirm them, and the same on every platform


def arrival_times(
    settings: ArrivalSettings,
    num_requests: int | None,
    duration_s: float | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Return sorted arrival times in seconds, the first one 0.

    Args:
        settings: kind and rate.
        num_requests: stop after so many.
        duration_s: keep arrivals before this time; with `num_requests` too, what comes first.
        rng: source of randomness.

    Raises:
        ConfigError: neither or a bad limit, a missing or bad rate; names the key.
    """
    import numpy as np

    kind = one_of(settings.kind, "workload.arrivals.kind", KINDS)
    count = None if num_requests is None else whole(num_requests, "workload.num_requests", least=1)
    window = None if duration_s is None else number(duration_s, "workload.duration_s", above=0)
    if settings.cv != 1.0 and kind != "gamma":
        raise ConfigError(f"workload.arrivals.cv: applies to gamma arrivals, not to '{kind}' arrivals")
    if kind == "burst":
        if settings.rate_rps is not None:
            raise ConfigError(
                "workload.arrivals.rate_rps: a burst has no rate; choose workload.arrivals.kind=poisson"
            )
        return _burst(settings, count)
    if settings.ramp_s:
        raise ConfigError(f"workload.arrivals.ramp_s: only for burst arrivals, not for '{kind}' arrivals")
    rate = _rate(settings)
    if count is None and window is None:
        raise ConfigError("workload.num_requests: needed, or workload.duration_s, to end the arrivals")
    if window is not None and (count or np.inf) > rate * window * 2 + 1000 > MAX_REQUESTS:
        raise ConfigError(
            f"workload.arrivals.rate_rps: {rate:g} for {window:g} s is over {MAX_REQUESTS} requests"
        )
    gaps = _Gaps(kind, rate, settings.cv if kind == "gamma" else 1.0, rng, "workload.arrivals.cv")
    times = gaps.until(window, count) if window is not None else gaps.first(count or 0)
    return np.round(times, _DECIMALS)


def _burst(settings: ArrivalSettings, count: int | None) -> FloatArray:
    import numpy as np

    if count is None:
        raise ConfigError("workload.num_requests: needed with burst arrivals")
    ramp = number(settings.ramp_s, "workload.arrivals.ramp_s", least=0)
    return np.round(np.arange(count) * (ramp / count), _DECIMALS)


def _rate(settings: ArrivalSettings) -> float:
    if settings.rate_rps is None:
        raise ConfigError(f"workload.arrivals.rate_rps: needed with '{settings.kind}' arrivals")
    return number(settings.rate_rps, "workload.arrivals.rate_rps", above=0)


class _Gaps:
    """A renewal process: gaps between arrivals with mean 1/rate and the given coefficient of variation."""

    def __init__(self, kind: str, rate: float, cv: float, rng: np.random.Generator, cv_key: str) -> None:
        self._kind, self._rate, self._rng = kind, rate, rng
        self._shape = 1.0 / number(cv, cv_key, above=0) ** 2

    def first(self, count: int) -> FloatArray:
        """Return the first `count` arrivals; the first is 0."""
        import numpy as np

        return np.concatenate([[0.0], np.cumsum(self._draw(count - 1))])

    def until(self, window_s: float, count: int | None) -> FloatArray:
        """Return the arrivals before `window_s`, at most `count`."""
        import numpy as np

        times = self.first(self._chunk(window_s))
        while times[-1] < window_s and (count is None or len(times) < count):
            more = np.cumsum(self._draw(self._chunk(window_s - times[-1])))
            times = np.concatenate([times, times[-1] + more])
        return times[times < window_s][:count]

    def _chunk(self, window_s: float) -> int:
        return int(self._rate * window_s * 1.1) + 64

    def _draw(self, n: int) -> FloatArray:
        import numpy as np

        if self._kind == "constant":
            return np.full(n, 1.0 / self._rate)
        if self._kind == "poisson":
            return self._rng.exponential(1.0 / self._rate, n)
        return self._rng.gamma(self._shape, 1.0 / (self._shape * self._rate), n)
