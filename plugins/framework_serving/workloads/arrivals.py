"""When requests arrive: burst, constant, Poisson and gamma-gap processes, at a fixed or changing rate; closed loops.

The first request arrives at 0 and every time counts from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from framework.configuration.plain_values import number, one_of, whole
from framework.errors import ConfigError
from framework_serving.workloads.rate_course import RateCourse
from framework_serving.workloads.settings import ArrivalSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

KINDS = ("burst", "constant", "poisson", "gamma", "concurrency")
MAX_REQUESTS = 20_000_000  # a typing error in a rate should not fill the memory
_DECIMALS = 6  # microseconds: below any clock that could confirm them, and the same on every platform


def arrival_times(
    settings: ArrivalSettings,
    num_requests: int | None,
    duration_s: float | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Return sorted arrival times in seconds, the first one 0; in a closed loop, the earliest times.

    Args:
        settings: kind and rate.
        num_requests: stop after so many.
        duration_s: keep arrivals before this time; with `num_requests` too, what comes first.
        rng: source of randomness.

    Raises:
        ConfigError: neither or a bad limit, a missing or bad rate, a key without effect; names the key.
    """
    import numpy as np

    kind = one_of(settings.kind, "workload.arrivals.kind", KINDS)
    count = None if num_requests is None else whole(num_requests, "workload.num_requests", least=1)
    window = None if duration_s is None else number(duration_s, "workload.duration_s", above=0)
    cv = variation(settings)
    course = _course(settings)
    if kind in ("burst", "concurrency"):
        return _at_once(settings, kind, count)
    if settings.ramp_s:
        raise ConfigError(
            f"workload.arrivals.ramp_s: only for burst and concurrency, not for '{kind}' arrivals"
        )
    if course is None:  # an infinite rate
        return _at_once(settings, kind, count)
    if count is None and window is None:
        raise ConfigError("workload.num_requests: needed, or workload.duration_s, to end the arrivals")
    if window is not None:
        expected = course.expected(window)
        if (count or np.inf) > expected * 2 + 1000 > MAX_REQUESTS:
            key = "rate_points" if settings.rate_points else "rate_rps"
            mean = expected / window
            raise ConfigError(
                f"workload.arrivals.{key}: {mean:g} for {window:g} s is over {MAX_REQUESTS} requests"
            )
    gaps = _Gaps(kind, course, cv)
    times = gaps.until(window, count, rng) if window is not None else gaps.first(count or 0, rng)
    return np.round(times, _DECIMALS)


def users(settings: ArrivalSettings) -> int | None:
    """Return the users of a closed loop, None for an open one. Raises `ConfigError` naming the key."""
    if settings.concurrency is None:
        if settings.kind == "concurrency":
            raise ConfigError("workload.arrivals.concurrency: needed with 'concurrency' arrivals, the users")
        return None
    return whole(settings.concurrency, "workload.arrivals.concurrency", least=1)


def think_times(
    settings: ArrivalSettings, n: int, waits: bool, rng: np.random.Generator
) -> FloatArray | None:
    """Return the pause of a user after each request, None where users never pause.

    Args:
        settings: mean and variation.
        n: requests.
        waits: whether a request may have to wait for another; pauses have no effect elsewhere.
        rng: source of randomness.

    Raises:
        ConfigError: a bad value, or one without effect; names the key.
    """
    import numpy as np

    mean = number(settings.think_s, "workload.arrivals.think_s", least=0)
    cv = number(settings.think_cv, "workload.arrivals.think_cv", least=0)
    if mean and not waits:
        raise ConfigError(
            "workload.arrivals.think_s: no user waits for an answer; choose workload.arrivals.concurrency or "
            "workload.sessions.turns"
        )
    if cv and not mean:
        raise ConfigError("workload.arrivals.think_cv: without effect, since workload.arrivals.think_s is 0")
    if not mean:
        return None
    if not cv:
        return np.full(n, mean)
    return np.round(rng.gamma(1.0 / cv**2, mean * cv**2, n), _DECIMALS)


def variation(settings: ArrivalSettings) -> float:
    """Return the coefficient of variation of the gaps, by either of its names. Raises `ConfigError`."""
    kind = settings.kind
    for key, stated in (("cv", settings.cv != 1.0), ("burstiness", settings.burstiness is not None)):
        if stated and kind != "gamma":
            raise ConfigError(f"workload.arrivals.{key}: applies to gamma arrivals, not to '{kind}' arrivals")
        if stated and settings.rate_rps == math.inf:
            raise ConfigError(f"workload.arrivals.{key}: without effect at an infinite rate")
    if settings.burstiness is None:
        return number(settings.cv, "workload.arrivals.cv", above=0)
    if settings.cv != 1.0:
        raise ConfigError("workload.arrivals.burstiness: is 1 / workload.arrivals.cv²; set one of the two")
    return 1.0 / math.sqrt(number(settings.burstiness, "workload.arrivals.burstiness", above=0))


def _at_once(settings: ArrivalSettings, kind: str, count: int | None) -> FloatArray:
    """Return the times of requests that need not wait for a rate; `ramp_s` spreads them, or the start of users."""
    import numpy as np

    if count is None:
        raise ConfigError(f"workload.num_requests: needed with {kind} arrivals")
    ramp = number(settings.ramp_s, "workload.arrivals.ramp_s", least=0)
    spread = min(users(settings) or count, count) if kind == "concurrency" else count
    return np.round(np.minimum(np.arange(count), spread) * (ramp / spread), _DECIMALS)


def _course(settings: ArrivalSettings) -> RateCourse | None:
    """Return the rate over time; None where there is none, or an infinite one."""
    kind, rate, points = settings.kind, settings.rate_rps, settings.rate_points
    if points is None and settings.rate_shape != "step":
        raise ConfigError(
            "workload.arrivals.rate_shape: without effect without workload.arrivals.rate_points"
        )
    for key, value in (("rate_rps", rate), ("rate_points", points)):
        if kind in ("burst", "concurrency") and value is not None and value != math.inf:
            raise ConfigError(
                f"workload.arrivals.{key}: a {kind} has no rate; choose workload.arrivals.kind=poisson"
            )
    if kind in ("burst", "concurrency"):
        return None
    if points is not None:
        if rate is not None:
            raise ConfigError(
                "workload.arrivals.rate_points: replaces workload.arrivals.rate_rps; set one of the two"
            )
        return RateCourse.of(points, settings.rate_shape)
    if rate is None:
        raise ConfigError(f"workload.arrivals.rate_rps: needed with '{kind}' arrivals")
    if rate == math.inf:
        return None
    return RateCourse.constant(number(rate, "workload.arrivals.rate_rps", above=0))


class _Gaps:
    """A renewal process: gaps between arrivals with the given coefficient of variation and a rate over time."""

    def __init__(self, kind: str, course: RateCourse, cv: float) -> None:
        self._kind, self._course = kind, course
        self._shape = 1.0 / cv**2

    def first(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return the first `count` arrivals; the first is 0."""
        import numpy as np

        return self._course.times(np.concatenate([[0.0], np.cumsum(self._draw(count - 1, rng))]))

    def until(self, window_s: float, count: int | None, rng: np.random.Generator) -> FloatArray:
        """Return the arrivals before `window_s`, at most `count`."""
        import numpy as np

        end = self._course.place(window_s)
        places = np.concatenate([[0.0], np.cumsum(self._draw(self._chunk(end), rng))])
        while places[-1] < end and (count is None or len(places) < count):
            more = np.cumsum(self._draw(self._chunk(end - places[-1]), rng))
            places = np.concatenate([places, places[-1] + more])
        return self._course.times(places[places < end][:count])

    def _chunk(self, places: float) -> int:
        return int(self._course.density * places * 1.1) + 64

    def _draw(self, n: int, rng: np.random.Generator) -> FloatArray:
        import numpy as np

        density = self._course.density
        if self._kind == "constant":
            return np.full(n, 1.0 / density)
        if self._kind == "poisson":
            return rng.exponential(1.0 / density, n)
        return rng.gamma(self._shape, 1.0 / (self._shape * density), n)
