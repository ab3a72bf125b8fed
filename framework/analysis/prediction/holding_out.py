"""Which rows to hold out, so that the errors on them are like the errors on the rows that will be asked for.

Four kinds of row have errors of their own:

    repeated    its configuration is in the training rows as well
    new         its configuration does not
    scarce      its unit (cluster, model …) has few training rows; simulated by taking from some large units all
                rows but as few
    newcomer    its unit has none; simulated by holding out whole units
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework.analysis.prediction.features import IntArray
from framework.analysis.prediction.novelty import seen_in

NEW, REPEATED, SCARCE, NEWCOMER = 0, 1, 2, 3
SCARCE_ROWS = 200  # a unit with fewer training rows is scarce

_FOLDS = 8  # a model on 7/8 of the rows errs nearly as one on all …
_FOLDS_USED = 3  # … and three of the eight folds give residuals enough
_ROWS_FOR_ALL_FOLDS = 200  # below this, every row is held out once
_SCARCE_UNITS = 2  # units made scarce in each fold
_ROWS_OF_A_SCARCE_UNIT = 400  # held-out rows it contributes, at most
_UNIT_FOLDS = 5
_MOST_REPEATS = 5  # of a row of a small unit


@dataclass(frozen=True)
class Part:
    """One fold: rows to learn from, rows held out, and the kind of each row held out."""

    learned: IntArray
    out: IntArray
    kind: IntArray


def row_parts(configuration: IntArray, unit: IntArray | None, seed: int) -> list[Part]:
    """Return folds of single rows; some units are made scarce in each when there are scarce ones among the rows.

    Args:
        configuration: code of each row's configuration.
        unit: code of each row's unit; None when units play no part.
        seed: of the draws.
    """
    rows = len(configuration)
    generator = np.random.default_rng(seed)
    folds = min(_FOLDS, rows)
    fold = generator.permutation(rows) % folds
    parts = []
    for k in range(min(_FOLDS_USED, folds) if rows >= _ROWS_FOR_ALL_FOLDS else folds):
        learned, out = fold != k, fold == k
        made_scarce = np.zeros(0, dtype=np.int64)
        if unit is not None:
            taken, made_scarce = _made_scarce(unit, generator)
            learned, out = learned & ~taken, out & ~taken
        kind = seen_in(configuration[out], configuration[learned]).astype(np.int64)
        if unit is not None:
            kind[scarce_rows(unit[out], unit)] = SCARCE
        held = np.concatenate([np.flatnonzero(out), made_scarce])
        kinds = np.concatenate([kind, np.full(len(made_scarce), SCARCE, dtype=np.int64)])
        parts.append(Part(np.flatnonzero(learned), held, kinds))
    return parts


def scarce_rows(asked: IntArray, training: IntArray) -> IntArray:
    """Return which asked rows (by number) belong to a unit that is scarce in training."""
    units, sizes = np.unique(training, return_counts=True)
    return np.flatnonzero(np.isin(asked, units[sizes < SCARCE_ROWS]))


def _made_scarce(unit: IntArray, generator: np.random.Generator) -> tuple[np.ndarray, IntArray]:
    """Return (mask of rows taken away from some large units, row numbers of those that are asked for)."""
    units, sizes = np.unique(unit, return_counts=True)
    small, large = sizes[sizes < SCARCE_ROWS], units[sizes >= 2 * SCARCE_ROWS]
    taken = np.zeros(len(unit), dtype=bool)
    if not len(small) or not len(large):
        return taken, np.zeros(0, dtype=np.int64)
    asked = []
    for chosen in generator.permutation(large)[:_SCARCE_UNITS]:
        rows = generator.permutation(np.flatnonzero(unit == chosen))
        left = int(generator.choice(small))  # as many rows as one of the scarce units has
        taken[rows[left:]] = True
        asked.append(rows[left : left + _ROWS_OF_A_SCARCE_UNIT])
    return taken, np.concatenate(asked)


def unit_parts(unit: IntArray, seed: int) -> list[Part]:
    """Return folds of whole units."""
    units = np.unique(unit)
    fold_of_unit = np.random.default_rng(seed).permutation(len(units)) % _UNIT_FOLDS
    fold = fold_of_unit[np.searchsorted(units, unit)]
    return [
        Part(np.flatnonzero(fold != k), rows := np.flatnonzero(fold == k), np.full(len(rows), NEWCOMER))
        for k in np.unique(fold)
    ]


def balanced_rows(unit: IntArray) -> IntArray:
    """Return row numbers in which rows of small units occur several times, up to `_MOST_REPEATS`.

    A unit of n rows among units of N rows on average counts as sqrt(n N) rows, the usual middle between equal
    rows and equal units; units larger than average keep their rows.
    """
    sizes = np.bincount(unit)
    average = len(unit) / max(1, int(np.count_nonzero(sizes)))
    wanted = np.sqrt(average / np.maximum(sizes, 1))
    repeats = np.clip(np.rint(wanted), 1, _MOST_REPEATS).astype(np.int64)
    return np.repeat(np.arange(len(unit)), repeats[unit])
