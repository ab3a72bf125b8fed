"""How many adapters of one kind an engine serves with each number of slots, found with few simulations.

A run that starves tells the capacity: adapters × served share / 0.9 is a guess of the boundary, and two or three such
guesses enclose it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from framework.contracts import BatchBackend, BatchJob, Json, Result, WorkloadTables
from framework_serving.advice.capacity.engine_probes import refusal
from framework_serving.metrics.serving_metrics import derive
from framework_serving.metrics.shared_rules import STARVED_BELOW

_NEAR = 1.015
_MOST_GUESSES = 6


@dataclass(frozen=True)
class Point:
    """One simulated number of adapters on a number of slots.

    Attributes:
        share: tokens served, of those that arrived; None: the engine does not start.
        tok_s, ttft_ms: throughput, mean TTFT; None where nothing was served.
        refused: why it does not start.
    """

    adapters: int
    slots: int
    share: float | None
    tok_s: float | None = None
    ttft_ms: float | None = None
    refused: str | None = None

    @property
    def serves(self) -> bool:
        """Whether it neither starves nor refuses."""
        return self.share is not None and self.share >= STARVED_BELOW


@dataclass(frozen=True)
class Boundary:
    """The most adapters on a number of slots.

    Attributes:
        adapters: served; 0: not even one.
        fails: the smallest number tried that is not; None where the search ended at its upper limit.
        points: all that was simulated.
    """

    slots: int
    adapters: int
    fails: int | None
    points: tuple[Point, ...]

    @property
    def refused(self) -> str | None:
        """Why the engine does not start with so many slots, None if it does."""
        return self.points[-1].refused if self.points else "too many slots for the memory"

    def best(self) -> Point | None:
        """Return the point at the boundary."""
        return next((point for point in self.points if point.adapters == self.adapters), None)


Asking = Generator[int, Point, Boundary]


def enclose(slots: int, start: int, most: int, resolution: float) -> Asking:
    """Ask for numbers of adapters until those served and not served are near; return the boundary."""
    low, high = 0, None
    points: list[Point] = []
    count = min(max(start, 1), most)
    while high is None or high - low > max(1, int(resolution * low)):
        point = yield count
        points.append(point)
        if point.share is None:
            return Boundary(slots, 0, count, tuple(points))
        if point.serves:
            low = count
            if low >= most:
                break
        else:
            high = count
        count = _next(points, low, high, most)
    return Boundary(slots, low, high, tuple(points))


def _next(points: Sequence[Point], low: int, high: int | None, most: int) -> int:
    last = points[-1]
    assert last.share is not None
    guess = last.adapters * last.share / STARVED_BELOW
    if high is None:  # served: below saturation the share says nothing of the capacity
        wanted = guess * _NEAR if last.share < 0.97 else 1.6 * last.adapters
        return min(max(math.ceil(wanted), low + 1), most)
    if high <= low + 1:
        return high - 1
    if len(points) > _MOST_GUESSES:
        wanted = math.sqrt(max(low, 1) * high)
    elif last.serves or low:
        wanted = guess * _NEAR if last.serves else guess / _NEAR
        if low and len(points) > 2:
            wanted = _between(points, low, high)
    else:  # where popularity is unequal, fewer adapters are also less busy ones: go as far as the last two say
        wanted = guess / _NEAR
        if len(points) > 1:
            wanted = min(wanted, _beyond(points[-2], last) / _NEAR)
    return min(max(round(wanted), low + 1), high - 1)


def _between(points: Sequence[Point], low: int, high: int) -> float:
    """Return where the share crosses 0.9 between the boundaries' logarithms, kept off their ends."""
    by_count = {point.adapters: point.share or 1e-6 for point in points}
    above, below = math.log(by_count[low] / STARVED_BELOW), math.log(by_count[high] / STARVED_BELOW)
    place = above / (above - below) if above > below else 0.5
    return float(low * (high / low) ** min(max(place, 0.15), 0.85))


def _beyond(earlier: Point, last: Point) -> float:
    """Return where the line through the logarithms of two points that starve reaches 0.9; at least a third."""
    slope = math.log((last.share or 1e-6) / (earlier.share or 1e-6)) / math.log(
        last.adapters / earlier.adapters
    )
    if slope > -0.05:
        return last.adapters / 2
    return last.adapters * max(float((STARVED_BELOW / (last.share or 1e-6)) ** (1 / slope)), 1 / 3)


def simulated(
    backend: BatchBackend,
    settings: Mapping[str, Json],
    slots: int,
    asking: Asking,
    build: Callable[[int], WorkloadTables],
) -> Boundary:
    """Carry a search out, one simulation after the other, in this process."""
    count = next(asking)
    while True:
        workload = build(count)
        job = BatchJob({**settings, "max_loras": slots}, workload)
        ((_, result),) = backend.run_batch([job])
        try:
            count = asking.send(as_point(count, slots, workload, result))
        except StopIteration as end:
            found: Boundary = end.value
            return found


def as_point(adapters: int, slots: int, workload: WorkloadTables, result: Result) -> Point:
    """Return what a simulation says of a number of adapters on a number of slots."""
    import pyarrow.compute as pc

    problem = refusal(result)
    if problem is not None:
        return Point(adapters, slots, None, refused=problem)
    metrics = {item.name: item.value for item in derive({}, workload, result)}
    requests = workload.tables["requests"]
    if requests.num_rows == 0:
        return Point(adapters, slots, 1.0, 0.0)
    offered = pc.sum(requests["input_tokens"]).as_py() + pc.sum(requests["output_tokens"]).as_py()
    rate = metrics.get("total_tok_s") or 0.0
    share = rate * float(metrics.get("duration_s") or 0.0) / offered
    if metrics.get("starved") is not None:  # the rule of the metric decides, not a rounding here
        share = (
            min(share, math.nextafter(STARVED_BELOW, 0)) if metrics["starved"] else max(share, STARVED_BELOW)
        )
    return Point(adapters, slots, share, rate, metrics.get("ttft_mean_ms"))
