"""How well a learner predicts what it has not seen: rows, configurations, and whole units, always side by side.

A random split flatters: repeats of a test row's configuration stand in the training rows. So four kinds of
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
    plan: RunPredictor,
    columns: Mapping[str, Column],
    target: FloatArray,
    folds: int = 4,
    least_rows: int = 10,
    most_units: int = 25,
) -> list[HeldOutError]:
    """Hold out a quarter of rows or configurations once, and the units of each group one after the other.

    Args:
        plan: how to learn.
        columns, target: the finished runs.
        folds: one part of this many is held out in the first two schemes.
        least_rows: units with fewer rows are not held out.
        most_units: the largest units are held out, up to this many.
    """
    found = []
    for scheme in schemes_of(plan, columns, len(target)):
        outs = _held_out_rows(scheme, folds, least_rows, most_units, plan.seed)
        if not outs:
            reason = f"needs 2 units with {least_rows} rows" if scheme.one_by_one else "needs 2 units"
            found.append(HeldOutError(scheme.name, 0, 0, reason=reason))
        else:
            found.append(_held_out_error(scheme, outs, plan, columns, target))
    return found


def quick_validate(
    plan: RunPredictor, columns: Mapping[str, Column], target: FloatArray, folds: int = 4, unit_folds: int = 3
) -> list[HeldOutError]:
    """Return the errors of the same schemes from few models without intervals: seconds instead of a minute.

    A quarter of rows or configurations is held out once; the units of a group are held out a third at a time, which
    is a little harder than one by one. Coverage is not measured.
    """
    found = []
    bases = [KNOWN, KNOWN, *(group.name for group in plan.groups)]
    for scheme, basis in zip(schemes_of(plan, columns, len(target)), bases, strict=True):
        units = np.random.default_rng(plan.seed).permutation(np.unique(scheme.unit))
        if len(units) < 2:
            found.append(HeldOutError(scheme.name, 0, 0, reason="needs 2 units"))
            continue
        parts = np.array_split(units, min(unit_folds, len(units))) if scheme.one_by_one else []
        parts = parts or [units[: max(1, len(units) // folds)]]
        outs = [np.flatnonzero(np.isin(scheme.unit, part)) for part in parts]
        predicted = []
        for out in outs:
            learned = np.setdiff1d(np.arange(len(target)), out)
            fitted = plan.fit(rows_of(columns, learned), target[learned])
            predicted.append(fitted.predict_points(rows_of(columns, out), basis))
        found.append(_error_of(scheme, np.concatenate(outs), np.concatenate(predicted), target))
    return found


def _error_of(scheme: Scheme, rows: IntArray, predicted: FloatArray, target: FloatArray) -> HeldOutError:
    measured = target[rows]
    ape = np.abs(predicted / measured - 1)
    units = np.unique(scheme.unit[rows])
    by_unit = (
        [float(np.median(ape[scheme.unit[rows] == unit])) for unit in units] if scheme.one_by_one else []
    )
    return HeldOutError(
        scheme.name,
        len(units),
        len(rows),
        mape=float(ape.mean()),
        median_ape=float(np.median(ape)),
        median_of_units=float(np.median(by_unit)) if by_unit else None,
        mae=float(np.mean(np.abs(predicted - measured))),
    )


def _held_out_rows(scheme: Scheme, folds: int, least_rows: int, most_units: int, seed: int) -> list[IntArray]:
    units, sizes = np.unique(scheme.unit, return_counts=True)
    if len(units) < 2:
        return []
    if scheme.one_by_one:
        large = units[np.argsort(-sizes, kind="stable")][: int((sizes >= least_rows).sum())][:most_units]
        return [np.flatnonzero(scheme.unit == unit) for unit in large]
    chosen = np.random.default_rng(seed).permutation(units)[: max(1, len(units) // folds)]
    return [np.flatnonzero(np.isin(scheme.unit, chosen))]


def _held_out_error(
    scheme: Scheme,
    outs: Sequence[IntArray],
    plan: RunPredictor,
    columns: Mapping[str, Column],
    target: FloatArray,
) -> HeldOutError:
    predicted, measured, inside, by_unit = [], [], [], []
    for out in outs:
        learned = np.setdiff1d(np.arange(len(target)), out)
        prediction = plan.fit(rows_of(columns, learned), target[learned]).predict(rows_of(columns, out))
        predicted.append(prediction.predicted)
        measured.append(target[out])
        inside.append((prediction.low <= target[out]) & (target[out] <= prediction.high))
        by_unit.append(median_ape(prediction.predicted, target[out]) / 100)
    p, m = np.concatenate(predicted), np.concatenate(measured)
    units = len(outs) if scheme.one_by_one else len(np.unique(scheme.unit[outs[0]]))
    return HeldOutError(
        scheme.name,
        units,
        len(p),
        mape=mape(p, m) / 100,
        median_ape=median_ape(p, m) / 100,
        median_of_units=float(np.median(by_unit)),
        mae=float(np.mean(np.abs(p - m))),
        coverage=float(np.mean(np.concatenate(inside))),
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
