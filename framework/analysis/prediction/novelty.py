"""How new a row is: its configuration seen before, or its configuration, or a whole group of it, new."""

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
    """

    name: str
    key: tuple[str, ...]
    identity: tuple[str, ...]


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
