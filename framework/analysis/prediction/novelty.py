"""How new a row is: its configuration seen before, or its configuration, or a whole group of it, new.

A unit is what was observed of it. A cluster of 3 nodes that is asked for with 20, or with a disk that it never had,
is another cluster: what is known by its name does not hold for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.prediction.features import BoolArray, Column, IntArray, group_codes


@dataclass(frozen=True)
class Group:
    """A kind of unit that a future row may be the first of: a cluster, a benchmark, a model, a GPU.

    Attributes:
        name: how it is listed.
        key: the columns that name the unit.
        identity: features that distinguish units by name alone; a unit never seen is predicted without them.
        facts: columns that say what a unit is (a cluster's nodes, disks, network). A row that contradicts them is
            a new unit under an old name.
        named: columns by which a unit is asked for, where the key is what the unit is; empty: the key.
    """

    name: str
    key: tuple[str, ...]
    identity: tuple[str, ...]
    facts: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def stacked(train: Mapping[str, Column], other: Mapping[str, Column]) -> dict[str, Column]:
    """Return the columns of both, the training rows first; a column that one lacks is left out."""
    joined: dict[str, Column] = {}
    for name in train:
        if name in other:
            a, b = train[name], other[name]
            kind = np.float64 if a.dtype.kind == b.dtype.kind == "f" else object
            joined[name] = np.concatenate([a.astype(kind), b.astype(kind)])
    return joined


def joint_codes(
    train: Mapping[str, Column], other: Mapping[str, Column], names: Sequence[str]
) -> tuple[IntArray, IntArray]:
    """Return group codes of training and other rows on one scale; columns that one side lacks do not count."""
    joined = stacked({name: train[name] for name in names if name in train}, other)
    rows = len(next(iter(train.values())))
    if not joined:
        return np.zeros(rows, dtype=np.int64), np.zeros(len(next(iter(other.values()))), dtype=np.int64)
    codes = group_codes(joined, list(joined))
    return codes[:rows], codes[rows:]


def seen_in(codes: IntArray, training_codes: IntArray) -> BoolArray:
    """Return which rows' codes occur among the training rows."""
    return np.isin(codes, np.unique(training_codes))


def contradictions(
    train: Mapping[str, Column], other: Mapping[str, Column], group: Group
) -> tuple[str | None, ...]:
    """Return for each row in which fact it contradicts all that was seen of its unit; None where it does not.

    A name contradicts if the unit was never seen with it. A number does if it is the same in all rows of every unit,
    and another one here; numbers that vary within units are settings. Missing values contradict nothing.
    """
    rows = len(next(iter(other.values())))
    found: list[str | None] = [None] * rows
    named = group.named or group.key
    if not all(name in train and name in other for name in named):
        return tuple(found)
    units, asked = joint_codes(train, other, named)
    for name in group.facts:
        if name not in train or name not in other:
            continue
        seen = _seen_values(units, train[name])
        if train[name].dtype.kind == "f" and any(len(values) > 1 for values in seen.values()):
            continue
        for row, (unit, value) in enumerate(zip(asked.tolist(), other[name].tolist(), strict=True)):
            known = seen.get(unit)
            if known and found[row] is None and not _missing(value) and value not in known:
                unit_name = " ".join(_shown(other[key][row]) for key in named)
                found[row] = (
                    f"{group.name} {unit_name} was never seen with {name}={_shown(value)} (only {_several(known)}): "
                    f"predicted as a new {group.name}"
                )
    return tuple(found)


def _seen_values(units: IntArray, values: Column) -> dict[int, set[object]]:
    seen: dict[int, set[object]] = {}
    for unit, value in set(zip(units.tolist(), values.tolist(), strict=True)):
        if not _missing(value):
            seen.setdefault(unit, set()).add(value)
    return seen


def _missing(value: object) -> bool:
    return value is None or value != value


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _several(values: set[object]) -> str:
    shown = sorted(_shown(value) for value in values)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} others" if len(shown) > 5 else "")
