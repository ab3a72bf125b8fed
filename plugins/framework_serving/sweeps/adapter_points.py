"""Points of a study of adapter slots: which they are, and which number of slots is the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from framework_serving.sweeps.sweep_points import SweepPoint

ADAPTERS, SLOTS = "workload.n_adapters", "backend.max_loras"


def slot_points(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """Return the points of a sweep over adapters or slots in order of mix, adapters, slots; none of others."""
    swept = [
        point
        for point in points
        if point.number(ADAPTERS) and point.number(SLOTS) and point.varied & {ADAPTERS, SLOTS}
    ]
    mixes = Counter(map(mix_of, swept))
    swept = [point for point in swept if mixes[mix_of(point)] > 1]  # a single point is not a sweep
    return sorted(swept, key=lambda point: (mix_of(point), point.number(ADAPTERS), point.number(SLOTS)))


def mix_of(point: SweepPoint) -> tuple[str, str]:
    """Return what a table is about: model and name of the mix of rates and ranks."""
    return point.model, point.workload


def best_slots(points: Sequence[SweepPoint]) -> dict[float, SweepPoint]:
    """Return, by number of adapters, the point with the most throughput among those that don't starve."""
    found: dict[float, SweepPoint] = {}
    for point in points:
        adapters, throughput = point.number(ADAPTERS), point.value("total_tok_s")
        if adapters is None or throughput is None or point.value("starved") != 0:
            continue
        best = found.get(adapters)
        if best is None or throughput > best.metrics["total_tok_s"].value:
            found[adapters] = point
    return found
