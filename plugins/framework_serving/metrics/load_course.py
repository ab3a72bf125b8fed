"""The course of a run: its busiest second, and its steady part apart from ramp and tail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.contracts import Metric
from framework_serving.metrics.metric_definitions import UNITS
from framework_serving.metrics.request_times import RequestTimes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

STEADY = (
    "steady_s",
    "steady_output_tok_s",
    "steady_running_mean",
    "steady_ttft_mean_ms",
    "steady_tpot_mean_ms",
)
COURSE = frozenset({"output_tok_s_peak", *STEADY})

STEADY_SHARE = 0.9
"""The run is steady from the first to the last moment with this share of its median number of running requests."""

_LEAST_SHARE = 0.1
"""A steady part that is shorter than this share of the run is none."""


def course(run: RequestTimes, duration_s: float | None) -> Iterator[Metric]:
    """Yield `COURSE`, as values or as absent with the reason."""
    import numpy as np

    served = run.served()
    if not duration_s or not served.output_tokens.sum() or not np.isfinite(served.last_token_s).any():
        for name in sorted(COURSE):
            yield Metric.absent(name, "no request finished", UNITS[name])
        return
    yield _value("output_tok_s_peak", _busiest_second(served, duration_s))
    yield from _steady(run, served, duration_s)


def tokens_until(served: RequestTimes, times_s: FloatArray) -> FloatArray:
    """Return output tokens that had come by each time, ascending: the first at its own time, the others evenly."""
    import numpy as np

    gaps = (served.output_tokens - 1).astype(np.float64)
    length_s = served.last_token_s - served.first_token_s
    spread = length_s > 0
    rate = np.divide(gaps, length_s, out=np.zeros_like(gaps), where=spread)
    begin = np.searchsorted(times_s, served.first_token_s, side="left")  # the first time at or after it
    end = np.searchsorted(times_s, served.last_token_s, side="left")

    def summed(places: npt.NDArray[np.intp], weights: FloatArray) -> FloatArray:
        return np.cumsum(np.bincount(places, weights, minlength=len(times_s) + 1).astype(np.float64))[:-1]

    at_first = summed(begin, np.where(spread, 1.0, gaps + 1.0))
    since_first = times_s * summed(begin, rate) - summed(begin, rate * served.first_token_s)
    since_last = times_s * summed(end, rate) - summed(end, rate * served.last_token_s)
    tokens: FloatArray = at_first + since_first - since_last
    return tokens


def _busiest_second(served: RequestTimes, duration_s: float) -> float:
    import numpy as np

    parts = int(np.ceil(duration_s))  # equal ones: the busiest part of a run is never below its mean
    by_then = tokens_until(served, np.linspace(0.0, duration_s, parts + 1))
    # what comes at 0 belongs to the first part, what a client gets after the engine's end to the last
    by_then[0], by_then[-1] = 0.0, float(served.output_tokens.sum())
    return float(np.diff(by_then).max()) * parts / duration_s


@dataclass(frozen=True)
class _Running:
    """Running requests over time: `level[i]` from `times_s[i]` to `times_s[i + 1]`."""

    times_s: FloatArray
    level: FloatArray

    @classmethod
    def of(cls, run: RequestTimes, duration_s: float) -> _Running:
        """Count from being scheduled (arrival, where that is not known) to the last token or the end of the run."""
        import numpy as np

        begun_s = np.where(np.isfinite(run.scheduled_s), run.scheduled_s, run.arrival_s)
        ran = run.finished | np.isfinite(run.first_token_s)
        ended_s = np.where(run.finished, run.last_token_s, duration_s)[ran]
        times_s = np.concatenate([begun_s[ran], ended_s])
        change = np.repeat([1.0, -1.0], [ran.sum(), ran.sum()])
        order = np.argsort(times_s, kind="stable")
        return cls(times_s[order], np.cumsum(change[order]))

    def steady(self) -> tuple[float, float]:
        """Return begin and end of the steady part."""
        import numpy as np

        spans_s = np.diff(self.times_s, append=self.times_s[-1])
        order = np.argsort(self.level)
        half = np.searchsorted(np.cumsum(spans_s[order]), 0.5 * spans_s.sum())
        median = self.level[order][min(half, len(order) - 1)]
        busy = np.flatnonzero((self.level >= STEADY_SHARE * median) & (spans_s > 0))
        return float(self.times_s[busy[0]]), float(self.times_s[busy[-1]] + spans_s[busy[-1]])

    def mean(self, begin_s: float, end_s: float) -> float:
        """Return the mean over a stretch of time."""
        import numpy as np

        edges_s = np.clip(np.append(self.times_s, self.times_s[-1]), begin_s, end_s)
        return float((self.level * np.diff(edges_s)).sum() / (end_s - begin_s))


def _steady(run: RequestTimes, served: RequestTimes, duration_s: float) -> Iterator[Metric]:
    import numpy as np

    running = _Running.of(run, duration_s)
    span_s = float(running.times_s[-1] - running.times_s[0])
    begin_s, end_s = running.steady() if span_s > 0 else (0.0, 0.0)
    if end_s - begin_s < _LEAST_SHARE * span_s or span_s <= 0:
        for name in STEADY:
            yield Metric.absent(name, "the run has no steady part", UNITS[name])
        return
    yield _value("steady_s", end_s - begin_s)
    by_then = tokens_until(served, np.array([begin_s, end_s]))
    yield _value("steady_output_tok_s", (by_then[1] - by_then[0]) / (end_s - begin_s))
    yield _value("steady_running_mean", running.mean(begin_s, end_s))
    inside = (served.arrival_s >= begin_s) & (served.arrival_s <= end_s)
    for name, seconds in (("ttft", served.ttft_s), ("tpot", served.tpot_s)):
        known = seconds[inside & np.isfinite(seconds)]
        metric = f"steady_{name}_mean_ms"
        if known.size:
            yield _value(metric, 1e3 * known.mean())
        else:
            yield Metric.absent(metric, "no finished request arrived in the steady part", UNITS[metric])


def _value(name: str, value: float) -> Metric:
    return Metric(name, float(value), UNITS[name], "requests")
