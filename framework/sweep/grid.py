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

    @property
    def description(self) -> str:
        """The point as people read it; repeats of one combination are distinguished."""
        words = " ".join(self.overrides)
        return f"{words} (repeat {self.repeat})" if self.repeat else words


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


def merged_grids(
    common: Sequence[Axis], own: Sequence[Sequence[Axis]], given: Sequence[Axis]
) -> list[list[Axis]]:
    """Return the axes of each grid: its own, then the study's common ones that it does not set itself.

    What the user gives on the command line *narrows* the study where its grids know all of the given values
    (`backend.servers=5` keeps the grids that have this value and drops the others), and *replaces* the axis in every
    grid where they don't (`backend.servers=7` runs the whole study with seven).
    """
    grids = []
    for axes in own:
        merged = dict(axes)
        for key, values in common:
            merged.setdefault(key, values)
        grids.append(merged)
    for key, values in given:
        known = {_plain(value) for grid in grids for value in grid.get(key, ())}
        if known.issuperset(map(_plain, values)):
            grids = [narrowed for grid in grids if (narrowed := _narrowed(grid, key, values)) is not None]
        else:
            grids = [{**grid, key: values} for grid in grids]
    return [list(grid.items()) for grid in grids]


def _narrowed(
    grid: dict[str, tuple[str, ...]], key: str, values: tuple[str, ...]
) -> dict[str, tuple[str, ...]] | None:
    """Keep the given values of an axis; None if none is left. A grid without the axis takes them all."""
    if key not in grid:
        return {**grid, key: values}
    wanted = {_plain(value) for value in values}
    kept = tuple(value for value in grid[key] if _plain(value) in wanted)
    return {**grid, key: kept} if kept else None


def _plain(value: str) -> str:
    """Return a value without quotes and case, so that `True` in a file is `true` on the command line."""
    return value.strip("'\"").casefold()
