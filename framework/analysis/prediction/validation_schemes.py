"""How well a learner predicts what it has not seen: rows, configurations, and whole units, always side by side.

A random split is too optimistic: repeats of a test row's configuration are in the training rows. So four kinds of
newness are measured together, and a scheme that the rows can't support is listed with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.error_measures import mape, median_ape
from framework.analysis.prediction.features import Column, FloatArray, IntArray, group_codes
from framework.analysis.prediction.predictor import KNOWN, RunPredictor
from framework.contracts import TableBlock

RANDOM = "random rows"
CONFIGURATION = "configuration held out"
_FOLDS = 4  # one of so many parts of the rows, or of the configurations, is held out
_LEAST_ROWS = 10  # units with fewer rows are not held out one by one
_MOST_UNITS = 25  # the largest units are held out, up to this many
_QUICK_PARTS = 3


@dataclass(frozen=True)
class Scheme:
    """What is held out together.

    Attributes:
        name: how it is listed.
        unit: code of each row; rows of one code are held out together.
        one_by_one: hold out unit by unit (clusters) instead of in folds of many units (rows, configurations).
    """

    name: str
    unit: IntArray
    one_by_one: bool = False


@dataclass(frozen=True)
class HeldOutError:
    """Errors on rows that were held out by one scheme.

    Attributes:
        scheme: its name.
        units: units that were held out.
        rows: rows that were predicted.
        mape, median_ape: over all rows, as fractions.
        median_of_units: median over the units of their median absolute percentage error, as a fraction.
        mae: mean absolute error in the target's unit.
        coverage: share of rows within their interval.
        reason: why there are no figures; None when there are.
    """

    scheme: str
    units: int
    rows: int
    mape: float | None = None
    median_ape: float | None = None
    median_of_units: float | None = None
    mae: float | None = None
    coverage: float | None = None
    reason: str | None = None


def schemes_of(plan: RunPredictor, columns: Mapping[str, Column], rows: int) -> list[Scheme]:
    """Return the schemes: random rows, configurations, and each group's units."""
    configuration = group_codes(columns, plan.configuration_in(columns))
    schemes = [Scheme(RANDOM, np.arange(rows)), Scheme(CONFIGURATION, configuration)]
    for group in plan.groups:
        present = [name for name in group.key if name in columns]
        codes = group_codes(columns, present) if present else np.zeros(rows, dtype=np.int64)
        schemes.append(Scheme(f"{group.name} held out", codes, one_by_one=True))
    return schemes


def validate(
    plan: RunPredictor, columns: Mapping[str, Column], target: FloatArray, quick: bool = False
) -> list[HeldOutError]:
    """Hold out a quarter of rows or configurations once, and the units of each group one after the other.

    Args:
        plan: how to learn.
        columns, target: the finished runs.
        quick: few models without intervals, seconds instead of a minute: units are held out a third at a time,
            which is a little harder than one by one, and coverage is not measured.
    """
    found = []
    bases = [KNOWN, KNOWN, *(group.name for group in plan.groups)]
    for scheme, basis in zip(schemes_of(plan, columns, len(target)), bases, strict=True):
        outs = _held_out_rows(scheme, quick, plan.seed)
        if not outs:
            reason = f"needs 2 units with {_LEAST_ROWS} rows" if scheme.one_by_one else "needs 2 units"
            found.append(HeldOutError(scheme.name, 0, 0, reason=reason))
        else:
            found.append(_held_out_error(scheme, outs, plan, columns, target, basis if quick else None))
    return found


def _held_out_rows(scheme: Scheme, quick: bool, seed: int) -> list[IntArray]:
    units, sizes = np.unique(scheme.unit, return_counts=True)
    if len(units) < 2:
        return []
    shuffled = np.random.default_rng(seed).permutation(units)
    if not scheme.one_by_one:
        parts = [shuffled[: max(1, len(units) // _FOLDS)]]
    elif quick:
        parts = np.array_split(shuffled, min(_QUICK_PARTS, len(units)))
    else:
        large = units[np.argsort(-sizes, kind="stable")][: int((sizes >= _LEAST_ROWS).sum())]
        parts = [large[[place]] for place in range(min(len(large), _MOST_UNITS))]
    return [np.flatnonzero(np.isin(scheme.unit, part)) for part in parts]


def _held_out_error(
    scheme: Scheme,
    outs: Sequence[IntArray],
    plan: RunPredictor,
    columns: Mapping[str, Column],
    target: FloatArray,
    basis: str | None,
) -> HeldOutError:
    """Return the errors; with a `basis` (what is new in the rows) predictions have no interval."""
    parts, inside = [], []
    for out in outs:
        learned = np.setdiff1d(np.arange(len(target)), out)
        fitted, asked = plan.fit(rows_of(columns, learned), target[learned]), rows_of(columns, out)
        if basis is not None:
            parts.append(fitted.predict_points(asked, basis))
        else:
            prediction = fitted.predict(asked)
            parts.append(prediction.predicted)
            inside.append((prediction.low <= target[out]) & (target[out] <= prediction.high))
    rows, predicted = np.concatenate(outs), np.concatenate(parts)
    measured, unit = target[rows], scheme.unit[rows]
    by_unit = [median_ape(predicted[unit == code], measured[unit == code]) / 100 for code in np.unique(unit)]
    return HeldOutError(
        scheme.name,
        len(by_unit),
        len(rows),
        mape=mape(predicted, measured) / 100,
        median_ape=median_ape(predicted, measured) / 100,
        median_of_units=float(np.median(by_unit)) if scheme.one_by_one else None,
        mae=float(np.mean(np.abs(predicted - measured))),
        coverage=float(np.mean(np.concatenate(inside))) if inside else None,
    )


def rows_of(columns: Mapping[str, Column], rows: IntArray) -> dict[str, Column]:
    """Return the given rows of every column."""
    return {name: values[rows] for name, values in columns.items()}


def validation_table(errors: Sequence[HeldOutError], title: str = "Errors on held-out runs") -> TableBlock:
    """Return the schemes side by side, as a table for the terminal and the report."""
    columns = ("scheme", "units", "rows", "mape", "median_ape", "median_of_units", "mae", "coverage", "note")
    rows = [
        (
            e.scheme,
            e.units,
            e.rows,
            e.mape,
            e.median_ape,
            e.median_of_units,
            e.mae,
            e.coverage,
            e.reason or "",
        )
        for e in errors
    ]
    return TableBlock(title, columns, rows, "mape, median_ape and coverage are fractions")
