"""Knees of a sweep over the batch: where throughput stops to grow, and what ends the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from framework_serving.sweeps.sweep_points import Curve, SweepPoint

KNEE_SHARE = 0.95
"""A knee is the smallest batch with this share of the best throughput (slm_pareto study, memory_gap study)."""


@dataclass(frozen=True)
class Knee:
    """The knee of one curve.

    Attributes:
        at_share: the smallest batch with `KNEE_SHARE` of the curve's best throughput without preemption.
        by_chord: the point farthest above the chord of the (log batch, throughput) curve: second definition.
        smallest: the smallest batch.
        largest: MAX, the largest batch without preemption.
        memory_bound: a larger batch was run and preempted: memory, not the plateau, ended the curve.
    """

    at_share: SweepPoint
    by_chord: SweepPoint
    smallest: SweepPoint
    largest: SweepPoint
    memory_bound: bool


def find_knee(curve: Curve, share: float = KNEE_SHARE) -> Knee | None:
    """Return the knee of a curve; None if fewer than two of its points ran without preemption."""
    from framework.analysis.pareto import knee_at_share, knee_by_chord

    points = plain_points(curve)
    if len(points) < 2:
        return None
    batches = [point.max_num_seqs for point in points]
    rates = [point.metrics["total_tok_s"].value for point in points]
    return Knee(
        points[knee_at_share(batches, rates, share)],
        points[knee_by_chord(batches, rates)],
        points[0],
        points[-1],
        any(point.preempted for point in curve.points),
    )


def plain_points(curve: Curve) -> list[SweepPoint]:
    """Return a curve's points that neither preempted nor lack a throughput, in order of the batch."""
    return [point for point in curve.points if not point.preempted and point.value("total_tok_s")]


def growth_exponent(points: Sequence[SweepPoint], metric: str) -> float | None:
    """Return d ln metric / d ln running between the first and the last point: 1 is proportional, 0 is flat.

    The batch is the one that really ran (`running_mean`). None if either is unknown or the batch did not grow.
    """
    if len(points) < 2:
        return None
    ends = [(points[place].value("running_mean"), points[place].value(metric)) for place in (0, -1)]
    (first_batch, first), (last_batch, last) = ends
    if not first_batch or not last_batch or not first or not last or last_batch <= first_batch:
        return None
    return log(last / first) / log(last_batch / first_batch)
