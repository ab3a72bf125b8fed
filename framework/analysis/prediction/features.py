"""Configurations as numbers: a table of knobs and facts becomes a matrix that every learner can read.

A column is a number or a category. A category is stored as the position of its level among those of the training
rows; a level that training never saw and a missing value are NaN, so that no learner can mistake them for a level.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Column = npt.NDArray[np.float64] | npt.NDArray[np.object_]


@dataclass(frozen=True)
class Features:
    """Encoded rows.

    Attributes:
        names: name of each column.
        values: shape (rows, columns); NaN is a missing value or a level unknown to the encoder.
        levels: the levels of a category by their code; None for a number.
    """

    names: tuple[str, ...]
    values: FloatArray
    levels: tuple[tuple[str, ...] | None, ...]

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def rows(self, index: npt.NDArray[np.generic]) -> Features:
        """Return the rows that an index or mask selects."""
        return Features(self.names, self.values[index], self.levels)

    def without(self, names: Collection[str]) -> Features:
        """Return the features but for the named columns."""
        kept = [position for position, name in enumerate(self.names) if name not in names]
        return Features(
            tuple(self.names[position] for position in kept),
            self.values[:, kept],
            tuple(self.levels[position] for position in kept),
        )


@dataclass(frozen=True)
class FeatureEncoder:
    """What was learned from the training rows: which columns vary, and the levels of the categories.

    Attributes:
        names: the columns kept; one that is constant or empty in training says nothing and is dropped.
        levels: sorted levels of a category, None for a number.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...] | None, ...]

    @classmethod
    def fit(cls, columns: Mapping[str, Column]) -> FeatureEncoder:
        """Learn from training columns: float arrays are numbers (NaN missing), object arrays text or None."""
        names: list[str] = []
        levels: list[tuple[str, ...] | None] = []
        for name, values in columns.items():
            if values.dtype.kind == "f":
                finite = values[np.isfinite(values)]
                if finite.size and (finite.min() < finite.max() or finite.size < values.size):
                    names.append(name)
                    levels.append(None)
                continue
            found = {value for value in values.tolist() if value is not None}
            if len(found) > 1 or (found and None in values.tolist()):
                names.append(name)
                levels.append(tuple(sorted(found)))
        return cls(tuple(names), tuple(levels))

    def encode(self, columns: Mapping[str, Column]) -> Features:
        """Return rows as features; a column that is absent is missing in every row."""
        rows = len(next(iter(columns.values()))) if columns else 0
        encoded = np.full((rows, len(self.names)), np.nan)
        for position, (name, levels) in enumerate(zip(self.names, self.levels, strict=True)):
            values = columns.get(name)
            if values is None:
                continue
            if levels is None:
                encoded[:, position] = numbers(values)
            else:
                code: dict[str | None, float] = {level: float(i) for i, level in enumerate(levels)}
                encoded[:, position] = [code.get(_text(value), np.nan) for value in values.tolist()]
        return Features(self.names, encoded, self.levels)


def numbers(values: Column) -> FloatArray:
    """Return a column as floats; what is not a finite number is NaN."""
    if values.dtype.kind == "f":
        return np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    found = np.full(len(values), np.nan)
    for position, value in enumerate(values.tolist()):
        try:
            found[position] = float(value)
        except (TypeError, ValueError):
            continue
    found[~np.isfinite(found)] = np.nan
    return found


def _text(value: object) -> str | None:
    return None if value is None or value != value else str(value)


def group_codes(columns: Mapping[str, Column], names: Sequence[str]) -> IntArray:
    """Return a number per row that is equal exactly for rows equal in all the named columns (missing = missing)."""
    if not names:
        raise ValueError("rows are grouped by at least one column")
    codes = np.zeros(len(columns[names[0]]), dtype=np.int64)
    for name in names:
        own = _codes(columns[name])
        _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
        codes = codes.astype(np.int64)
    return codes


def _codes(values: Column) -> IntArray:
    if values.dtype.kind == "f":
        _, inverse = np.unique(values, return_inverse=True)
        return inverse.astype(np.int64)
    code: dict[object, int] = {}
    return np.array([code.setdefault(_text(value), len(code)) for value in values.tolist()], dtype=np.int64)


def one_hot(features: Features) -> tuple[FloatArray, tuple[str, ...]]:
    """Return numbers (missing ones at 0, for scaled features their mean) and one 0/1 column for each level.

    Shape (rows, numbers + all levels), with the columns' names. A missing or unknown level is a row of zeros.
    """
    parts, names = [], []
    for position, (name, levels) in enumerate(zip(features.names, features.levels, strict=True)):
        column = features.values[:, position]
        if levels is None:
            parts.append(np.nan_to_num(column, nan=0.0)[:, None])
            names.append(name)
        else:
            parts.append((column[:, None] == np.arange(len(levels))).astype(np.float64))
            names += [f"{name}={level}" for level in levels]
    table = np.hstack(parts) if parts else np.zeros((len(features), 0))
    return table, tuple(names)


@dataclass(frozen=True)
class Scaler:
    """Means and standard deviations of the number columns of the training features."""

    mean: FloatArray
    deviation: FloatArray

    @classmethod
    def fit(cls, features: Features) -> Scaler:
        """Learn the scale; categories keep their codes."""
        mean, deviation = np.zeros(len(features.names)), np.ones(len(features.names))
        for position, levels in enumerate(features.levels):
            column = features.values[:, position]
            known = column[~np.isnan(column)]
            if levels is None and known.size:
                mean[position] = known.mean()
                deviation[position] = known.std() or 1.0
        return cls(mean, deviation)

    def scale(self, features: Features) -> Features:
        """Return features whose numbers have mean 0 and deviation 1 on the training rows."""
        return Features(features.names, (features.values - self.mean) / self.deviation, features.levels)
