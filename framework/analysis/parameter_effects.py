"""What single parameters do to a metric: settings that differ in one parameter only are compared with each other.

For a parameter, runs are put into blocks in which all other parameters agree. Within a block, repeats are averaged,
and the values of the parameter are compared: the effect of a value is the ratio of its metric to that of the
reference value (the one that most blocks have), minus 1. Over the blocks, the median and the quartiles are given; a
block without the reference value does not count. So an effect is never mixed with that of another parameter, and how
much it depends on the others shows in the quartiles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np


@dataclass(frozen=True)
class ValueEffect:
    """A value of a parameter against the reference value: relative change, with quartiles over the blocks."""

    value: str
    change: float
    low: float
    high: float
    blocks: int


@dataclass(frozen=True)
class ParameterEffect:
    """A parameter's values in order.

    Attributes:
        reference: the value that the others are compared with.
        values: the others and the reference itself (change 0).
        strength: median over the blocks of largest over smallest metric, minus 1.
        blocks: how many have at least two values.
    """

    name: str
    reference: str
    values: tuple[ValueEffect, ...]
    strength: float
    blocks: int

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(_number(item.value) is not None for item in self.values)


def parameter_effects(
    metric: Mapping[str, float], parameters: Mapping[str, Mapping[str, str]]
) -> list[ParameterEffect]:
    """Return the effect of each parameter that has one to show, the strongest first.

    Args:
        metric: run → value; runs with a value that is not above 0 are left out, since a ratio says nothing then.
        parameters: name → run → value.
    """
    runs = [run for run, value in metric.items() if value > 0]
    names = list(parameters)
    settings = {run: tuple(parameters[name].get(run, "–") for name in names) for run in runs}
    found = []
    for place, name in enumerate(names):
        blocks: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for run in runs:
            setting = settings[run]
            blocks[(*setting[:place], *setting[place + 1 :])][setting[place]].append(metric[run])
        means = [
            {value: fmean(items) for value, items in block.items()}
            for block in blocks.values()
            if len(block) > 1
        ]
        if means:
            found.append(_effect(name, means))
    return sorted(found, key=lambda effect: -effect.strength)


def _effect(name: str, blocks: Sequence[Mapping[str, float]]) -> ParameterEffect:
    counted = Counter(value for block in blocks for value in block)
    reference = min(counted, key=lambda value: (-counted[value], _order(value)))
    changes: dict[str, list[float]] = defaultdict(list)
    for block in blocks:
        if reference in block:
            for value, mean in block.items():
                changes[value].append(mean / block[reference] - 1)
    values = []
    for value in sorted(changes, key=_order):
        low, high = np.quantile(changes[value], (0.25, 0.75))
        values.append(
            ValueEffect(value, median(changes[value]), float(low), float(high), len(changes[value]))
        )
    strength = median(max(block.values()) / min(block.values()) - 1 for block in blocks)
    return ParameterEffect(name, reference, tuple(values), strength, len(blocks))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _order(value: str) -> tuple[bool, float, str]:
    number = _number(value)
    return (number is None, number or 0.0, value)
