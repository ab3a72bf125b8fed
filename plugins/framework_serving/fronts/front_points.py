"""Pareto fronts of serving configurations: throughput against latency and energy, with what noise leaves open.

Points are compared only within the same model, GPU, workload and backend. Runs that preempted or failed a sanity
check are never on a front, nor may they push another point off it. The macro `serving_front` (`front_sql.py`)
says the same in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from framework_serving.sweeps.sweep_points import SweepPoint, comparable_groups

if TYPE_CHECKING:
    from framework.analysis.pareto import Direction

REPEAT_SD = 0.01
"""Relative standard deviation of a repeated run that front membership assumes for what was run once: settings that
were measured twice agree within 0.5 to 1 % (median; ../shared/data/README.md, known defects)."""
_RESAMPLES = 500


@dataclass(frozen=True)
class Objective:
    """A metric, what it is called in a heading, and which direction is better."""

    metric: str
    label: str
    higher: bool = False


THROUGHPUT = Objective("total_tok_s", "tok/s", higher=True)
LATENCY = Objective("itl_mean_ms", "ITL")
ENERGY = Objective("energy_j_per_token", "J/token")

FRONTS: tuple[tuple[Objective, ...], ...] = (
    (THROUGHPUT, LATENCY),
    (THROUGHPUT, ENERGY),
    (THROUGHPUT, LATENCY, ENERGY),
)
"""The fronts that a study gets, where its runs have the metrics."""


@dataclass(frozen=True)
class Front:
    """The front of one group of comparable points.

    Attributes:
        objectives: what was compared.
        candidates: usable points that hold every objective.
        on_front: for each candidate, whether no other one beats it.
        possible: whether it may be on the front, given each point's interval (4 % where it has none).
        membership: share of resamples with `REPEAT_SD` of noise in which it is on the front, 0–1; 0 for what can't
            be on it.
    """

    objectives: tuple[Objective, ...]
    candidates: tuple[SweepPoint, ...]
    on_front: tuple[bool, ...]
    possible: tuple[bool, ...]
    membership: tuple[float, ...]

    @property
    def points(self) -> list[SweepPoint]:
        """Points on the front, the one with most of the first objective first."""
        found = [point for point, kept in zip(self.candidates, self.on_front, strict=True) if kept]
        first = self.objectives[0]
        return sorted(found, key=lambda point: point.metrics[first.metric].value, reverse=first.higher)

    @property
    def title(self) -> str:
        """What was compared, as a heading."""
        return " – ".join(objective.label for objective in self.objectives)


def usable(point: SweepPoint, objectives: Sequence[Objective]) -> bool:
    """Whether a point may be on a front: it holds every objective, did not preempt, and passed its checks."""
    held = all(point.value(objective.metric) is not None for objective in objectives)
    return held and not point.preempted and point.sanity != "fail"


def fronts(points: Sequence[SweepPoint], objectives: tuple[Objective, ...]) -> list[Front]:
    """Return the front of each group of comparable points that has at least one usable point."""
    return [_front(candidates, objectives) for candidates in _candidates(points, objectives)]


def undominated(points: Sequence[SweepPoint], objectives: tuple[Objective, ...]) -> list[SweepPoint]:
    """Return the points that no other one of their group beats; noise, which costs most of `fronts`, is left out."""
    return [
        point
        for candidates in _candidates(points, objectives)
        for point, kept in zip(candidates, _on_front(candidates, objectives), strict=True)
        if kept
    ]


def _candidates(
    points: Sequence[SweepPoint], objectives: tuple[Objective, ...]
) -> Iterator[tuple[SweepPoint, ...]]:
    for group in comparable_groups(points):
        candidates = tuple(point for point in group if usable(point, objectives))
        if candidates:
            yield candidates


def _better(objectives: Sequence[Objective]) -> list[Direction]:
    return ["higher" if objective.higher else "lower" for objective in objectives]


def _values(candidates: Sequence[SweepPoint], objectives: Sequence[Objective]) -> list[list[float]]:
    return [[point.metrics[item.metric].value for item in objectives] for point in candidates]


def _on_front(candidates: Sequence[SweepPoint], objectives: Sequence[Objective]) -> tuple[bool, ...]:
    from framework.analysis.pareto import front_mask

    return tuple(map(bool, front_mask(_values(candidates, objectives), _better(objectives))))


def _front(candidates: tuple[SweepPoint, ...], objectives: tuple[Objective, ...]) -> Front:
    from framework.analysis.pareto import front_membership, noisy_front_mask

    better, values = _better(objectives), _values(candidates, objectives)
    bounds = [[point.metrics[item.metric].interval() for item in objectives] for point in candidates]
    low = [[interval[0] for interval in row] for row in bounds]
    high = [[interval[1] for interval in row] for row in bounds]
    possible = [bool(kept) for kept in noisy_front_mask(low, high, better)]
    near = [[row] for row, kept in zip(values, possible, strict=True) if kept]
    shares = iter(front_membership(near, better, _RESAMPLES, relative_noise=REPEAT_SD))
    return Front(
        objectives,
        candidates,
        _on_front(candidates, objectives),
        tuple(possible),
        tuple(float(next(shares)) if kept else 0.0 for kept in possible),
    )


def front_gain(points: Sequence[SweepPoint], base: Sequence[SweepPoint]) -> float | None:
    """Return by how much `points` enlarge the area that `base` dominates in throughput and logarithmic ITL.

    0.1 means 10 % more. The corner is zero throughput at the largest ITL of either set, so that the ratio depends on
    no unit. None if `base` has no usable point, or dominates nothing.
    """
    from framework.analysis.pareto import hypervolume

    objectives = (THROUGHPUT, LATENCY)
    both = [_place(point) for point in [*base, *points] if usable(point, objectives)]
    own = [_place(point) for point in base if usable(point, objectives)]
    if not own:
        return None
    corner = [0.0, max(latency for _, latency in both)]
    area = hypervolume(own, ("higher", "lower"), corner)
    gained = hypervolume(both, ("higher", "lower"), corner) - area
    return (
        None if area <= 0 else max(0.0, gained) / area
    )  # more points never dominate less: rounding may say so


def _place(point: SweepPoint) -> tuple[float, float]:
    return point.metrics[THROUGHPUT.metric].value, log(point.metrics[LATENCY.metric].value)
