"""The best setting within limits: what it gives, what it beats and by how much, and what would change the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from framework.analysis.objectives import Limit, Objective
from framework.analysis.setting_fronts import SettingPoint
from framework.quantity import Quantity, gain


@dataclass(frozen=True)
class Choice:
    """The answer of one kind of settings.

    Attributes:
        kind: values of the parameters that separate the questions.
        best: the best setting that keeps all limits, by its values; its first value is the objective.
        ranked: all that keep the limits, the best first.
        outside: those that break a limit.
    """

    kind: tuple[str, ...]
    best: SettingPoint
    ranked: tuple[SettingPoint, ...]
    outside: tuple[SettingPoint, ...]

    @property
    def second(self) -> SettingPoint | None:
        """The next best within the limits; None without one."""
        return self.ranked[1] if len(self.ranked) > 1 else None

    @property
    def as_good(self) -> list[SettingPoint]:
        """Other settings whose distance to the best is not beyond the bands of both."""
        return [p for p in self.ranked[1:] if overlap(p.values[0], self.best.values[0])]


@dataclass(frozen=True)
class Relaxation:
    """A better setting that a weaker limit would allow: the limit, the value it needs, and the gain."""

    limit: Limit
    needed: float
    point: SettingPoint
    gain: float


def overlap(a: Quantity, b: Quantity) -> bool:
    """Return whether the bands of two values have a value in common."""
    (low_a, high_a), (low_b, high_b) = a.interval(), b.interval()
    return low_a <= high_b and low_b <= high_a


def choose(points: Sequence[SettingPoint], objective: Objective) -> list[Choice]:
    """Return the answer of each kind; a kind without a setting within the limits has none."""
    kinds: dict[tuple[str, ...], list[SettingPoint]] = {}
    for point in points:
        kinds.setdefault(point.kind, []).append(point)
    found = []
    for kind, members in kinds.items():
        members.sort(key=lambda point: (-objective.sign * point.values[0].value, point.setting))
        within = tuple(point for point in members if point.within)
        if within:
            outside = tuple(point for point in members if not point.within)
            found.append(Choice(kind, within[0], within, outside))
    return found


def better_by(objective: Objective, best: Quantity, other: Quantity) -> Quantity | None:
    """Return the relative advantage of the best over another with its band; None where a value is 0."""
    if best.value == 0 or other.value == 0:
        return None
    change = gain(best, other)
    if objective.better == "higher":
        return change
    low = None if change.high is None else -change.high
    high = None if change.low is None else -change.low
    return Quantity(-change.value, low, high)


def margins(choice: Choice, limits: Sequence[Limit]) -> list[tuple[Limit, Quantity, bool]]:
    """Return for each limit the value of the best setting, and whether its whole band keeps the limit."""
    values = choice.best.values[1:]
    return [
        (limit, value, all(limit.allows(end) for end in value.interval()))
        for limit, value in zip(limits, values, strict=True)
    ]


def relaxations(choice: Choice, objective: Objective, limits: Sequence[Limit]) -> list[Relaxation]:
    """Return for each limit the nearest better setting that breaks only this one."""
    found = []
    best = choice.best.values[0].value
    for place, limit in enumerate(limits):
        candidates = []
        for point in choice.outside:
            broken = [
                i for i, item in enumerate(limits) if not item.allows(point.values[i + 1].value)
            ]  # fmt: skip
            advantage = objective.sign * (point.values[0].value - best)
            if broken == [place] and advantage > 0:
                candidates.append(
                    (abs(point.values[place + 1].value - choice.best.values[place + 1].value), point)
                )
        if candidates and best:
            _, point = min(candidates, key=lambda item: (item[0], item[1].setting))
            share = objective.sign * (point.values[0].value / best - 1) * (1 if best > 0 else -1)
            found.append(Relaxation(limit, point.values[place + 1].value, point, share))
    return found


def at_the_edge(choice: Choice, parameters: Mapping[str, Mapping[str, str]]) -> list[tuple[str, float, str]]:
    """Return numeric parameters, of at least three values, of which the best has the largest or smallest."""
    edges = []
    mine = choice.best.run_ids[0]
    for name, values in parameters.items():
        texts = {values.get(point.run_ids[0]) for point in (*choice.ranked, *choice.outside)}
        try:
            numbers = {float(text) for text in texts if text is not None}
            value = float(values[mine])
        except (ValueError, KeyError):
            continue
        edge = edge_of(value, numbers) if len(numbers) >= 3 else None
        if edge is not None:
            edges.append((name, value, edge))
    return edges


def edge_of(value: float, tried: Iterable[float]) -> str | None:
    """Return whether a value is the `largest` or the `smallest` of those tried; None if it is neither.

    A count that is 1 or 0 is no edge: nothing is below it.
    """
    numbers = sorted(tried)
    counts = all(float(number).is_integer() for number in numbers)
    if value == numbers[-1]:
        return "largest"
    return "smallest" if value == numbers[0] and not (counts and value in (0, 1)) else None
