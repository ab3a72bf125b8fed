"""Pareto fronts of the settings in a store; the macro `setting_front` makes them, this reads and measures them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from framework.analysis.objectives import Limit, Objective
from framework.analysis.pareto import hypervolume, knee_of_front
from framework.contracts import StoreReader
from framework.quantity import Quantity

_MOST_FOR_VOLUME = 200  # points on a front of more than three objectives


@dataclass(frozen=True)
class SettingPoint:
    """A setting: the mean of its repeats in every objective.

    Attributes:
        kind: values of the parameters that must agree for two settings to be compared.
        setting: its key.
        run_ids: its repeats.
        values: one an objective, with its band.
        basis: where each band comes from.
        within: whether it keeps all limits; others are compared with nothing.
        on_front: no setting has better values.
        maybe_on_front: no setting is better beyond the bands of both.
    """

    kind: tuple[str, ...]
    setting: str
    run_ids: tuple[str, ...]
    values: tuple[Quantity, ...]
    basis: tuple[str, ...]
    within: bool
    on_front: bool
    maybe_on_front: bool


@dataclass(frozen=True)
class SettingFront:
    """The settings of one kind.

    Attributes:
        points: those within the limits, the best in the first objective first.
        outside: how many others break a limit.
        knee: the point on the front farthest above the plane through its extremes; None for fewer than three.
        volume_share: dominated share of the box between the worst and the best value of each objective; None where
            it is not worth the time, or an objective has one value only.
    """

    kind: tuple[str, ...]
    points: tuple[SettingPoint, ...]
    outside: int
    knee: SettingPoint | None
    volume_share: float | None

    @property
    def members(self) -> list[SettingPoint]:
        """The points that nothing beats beyond noise."""
        return [point for point in self.points if point.maybe_on_front]


def front_query(
    objectives: Sequence[Objective], names: Sequence[str], groups: Sequence[str], limits: Sequence[Limit]
) -> str:
    """Return the SELECT that gives the settings, to be pasted into the verb `sql`."""
    options = [
        f"[{_texts(item.metric for item in objectives)}]",
        f"better := [{_texts(item.better for item in objectives)}]",
    ]
    if names:
        options.append(f"names := [{_texts(names)}]")
    if groups:
        options.append(f"groups := [{_texts(groups)}]")
    if limits:
        items = (
            f"{{'metric': {_text(item.metric)}, 'least': {_bound(item.least)}, 'most': {_bound(item.most)}}}"
            for item in limits
        )
        options.append(f"limits := [{', '.join(items)}]")
    return f"FROM setting_front({', '.join(options)})"


def read_points(store: StoreReader, query: str) -> list[SettingPoint]:
    """Return the settings of a query of `front_query`, those outside the limits too."""
    return [
        SettingPoint(
            kind=tuple("–" if item is None else str(item) for item in row["kind"]),
            setting=row["setting"],
            run_ids=tuple(row["run_ids"]),
            values=tuple(map(Quantity, row["value"], row["low"], row["high"])),
            basis=tuple(row["basis"]),
            within=row["within"],
            on_front=row["on_front"],
            maybe_on_front=row["maybe_on_front"],
        )
        for row in store.query(query).to_pylist()
    ]


def names_among(groups: Sequence[str], asked: int) -> int:
    """Return how many of the groups are names: those asked for and the workload's, which come before its loads."""
    return asked + sum(name.endswith(".name") for name in groups[asked:])


def called(
    kinds: Iterable[tuple[str, ...]], groups: Sequence[str], named: int
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return how each kind is called: names as they are, a load with its key where loads differ.

    Args:
        kinds: values of the groups.
        groups: parameters that must agree, full names.
        named: how many of them are names; the others are loads.
    """
    loads = range(named, len(groups))
    seen: dict[tuple[tuple[str, ...], int], set[str]] = {}
    for kind in (known := list(dict.fromkeys(kinds))):
        for place in loads:
            seen.setdefault((kind[:named], place), set()).add(kind[place])
    return {
        kind: (
            *kind[:named],
            *(
                f"{groups[place].rpartition('.')[2]}={kind[place]}"
                for place in loads
                if len(seen[kind[:named], place]) > 1 and kind[place] != "–"
            ),
        )
        for kind in known
    }


def setting_fronts(store: StoreReader, query: str, objectives: Sequence[Objective]) -> list[SettingFront]:
    """Return the front of each kind for a query of `front_query`."""
    kinds: dict[tuple[str, ...], list[SettingPoint]] = {}
    for point in read_points(store, query):
        kinds.setdefault(point.kind, []).append(point)
    return [_front(kind, points, objectives) for kind, points in kinds.items()]


def _front(
    kind: tuple[str, ...], points: Sequence[SettingPoint], objectives: Sequence[Objective]
) -> SettingFront:
    within = tuple(point for point in points if point.within)
    certain = [point for point in within if point.on_front]
    better = [item.better for item in objectives]
    knee = None
    if len(certain) >= 3 and len(objectives) >= 2:
        knee = certain[knee_of_front([[item.value for item in point.values] for point in certain], better)]
    return SettingFront(
        kind, within, len(points) - len(within), knee, _volume_share(within, certain, objectives)
    )


def _volume_share(
    points: Sequence[SettingPoint], front: Sequence[SettingPoint], objectives: Sequence[Objective]
) -> float | None:
    if not points or (len(objectives) > 3 and len(front) > _MOST_FOR_VOLUME) or len(front) > 2000:
        return None
    columns = list(zip(*([item.value for item in point.values] for point in points), strict=True))
    spans = [max(column) - min(column) for column in columns]
    if not all(span > 0 and math.isfinite(span) for span in spans):
        return None
    worst = [
        min(column) if item.better == "higher" else max(column)
        for item, column in zip(objectives, columns, strict=True)
    ]
    volume = hypervolume(
        [[item.value for item in point.values] for point in front], [o.better for o in objectives], worst
    )
    return float(volume / math.prod(spans))


def export_rows(
    fronts: Sequence[SettingFront],
    objectives: Sequence[Objective],
    groups: Sequence[str],
    parameters: Mapping[str, Mapping[str, str]],
) -> tuple[list[str], list[list[object]]]:
    """Return columns and rows of every setting on a front, numbers as they are, for a file."""
    names = [name for name in parameters if name not in groups]
    columns = [*groups, *names]
    for item in objectives:
        columns += [item.metric, f"{item.metric}_low", f"{item.metric}_high", f"{item.metric}_band_from"]
    columns += ["on_front", "knee", "runs", "run_ids", "setting"]
    rows: list[list[object]] = []
    for front in fronts:
        for point in front.members:
            row: list[object] = [
                *point.kind,
                *(parameters[name].get(point.run_ids[0]) for name in names),
            ]
            for value, basis in zip(point.values, point.basis, strict=True):
                row += [value.value, value.low, value.high, basis]
            place = "yes" if point.on_front else "within noise"
            row += [place, point is front.knee, len(point.run_ids), " ".join(point.run_ids), point.setting]
            rows.append(row)
    return columns, rows


def _texts(items: object) -> str:
    return ", ".join(_text(item) for item in items)  # type: ignore[attr-defined]


def _text(item: str) -> str:
    return "'" + item.replace("'", "''") + "'"


def _bound(value: float | None) -> str:
    return "NULL" if value is None else f"{value!r}::DOUBLE" if math.isfinite(value) else f"'{value}'::DOUBLE"
