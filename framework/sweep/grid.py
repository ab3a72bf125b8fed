"""The points of a study: the union of its grids, in a stable order with stable numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PointKey = tuple[int, int]
Axis = tuple[str, tuple[str, ...]]  # (key element as Hydra writes it, values as override strings)


@dataclass(frozen=True)
class Point:
    """One job of a sweep.

    Attributes:
        index: number of the combination in the full study, independent of what is skipped or repeated.
        overrides: Hydra overrides `key=value`, in the order of the axes.
        repeat: 0-based repetition with another seed.
    """

    index: int
    overrides: tuple[str, ...]
    repeat: int = 0

    @property
    def key(self) -> PointKey:
        """(index, repeat): what names a job within its sweep."""
        return self.index, self.repeat


def thinned(values: Sequence[str], keep: int | None) -> tuple[str, ...]:
    """Return at most `keep` values, evenly spaced, the first and the last among them (the first if one)."""
    if keep is None or len(values) <= keep:
        return tuple(values)
    if keep == 1:
        return (values[0],)
    last = len(values) - 1
    return tuple(values[round(i * last / (keep - 1))] for i in range(keep))


def product(axes: Iterable[Axis], keep: int | None = None) -> list[tuple[str, ...]]:
    """Return every combination of the axes' values as tuples of overrides; the last axis varies fastest."""
    columns = [[f"{key}={value}" for value in thinned(values, keep)] for key, values in axes]
    return list(itertools.product(*columns))


def points(grids: Sequence[Sequence[Axis]], repeats: int = 1, keep: int | None = None) -> list[Point]:
    """Return the union of several grids: each combination once, in order of first appearance.

    Args:
        grids: one list of axes a grid.
        repeats: how often each point is run; repetitions of a point follow one another.
        keep: values kept of each axis (`scale.axis_points`).
    """
    seen: dict[frozenset[str], tuple[str, ...]] = {}
    for axes in grids:
        for overrides in product(axes, keep):
            seen.setdefault(frozenset(overrides), overrides)
    return [
        Point(index, overrides, repeat)
        for index, overrides in enumerate(seen.values())
        for repeat in range(repeats)
    ]


def merged_axes(common: Sequence[Axis], own: Sequence[Axis], given: Sequence[Axis]) -> list[Axis]:
    """Return the axes of one grid: its own, then the study's common ones that it does not set itself.

    What the user gives on the command line replaces both, in every grid.
    """
    axes = dict(own)
    for key, values in common:
        axes.setdefault(key, values)
    return list({**axes, **dict(given)}.items())
