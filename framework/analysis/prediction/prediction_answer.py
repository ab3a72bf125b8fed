"""A metric of configurations that were never run: a law corrected by what was measured, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framework.analysis.prediction.asked_rows import Asked, asked_rows, configs_of_runs
from framework.analysis.prediction.features import Column, FeatureEncoder, FloatArray
from framework.analysis.prediction.gaussian_process import SmallDataLearner, distances, scaled_like
from framework.analysis.prediction.law_learners import LAW, candidates, small_boosting
from framework.analysis.prediction.laws import MOST_SIMULATED, LawValues, installed_laws, law_values
from framework.analysis.prediction.learners import GradientBoosting, Learner
from framework.analysis.prediction.logged_runs import LoggedRuns, plan_for
from framework.analysis.prediction.novelty import joint_codes, seen_in
from framework.analysis.prediction.predictor import (
    KNOWN,
    ROWS_FOR_BOOSTING,
    FittedPredictor,
    Prediction,
    RunPredictor,
)

_NEAREST = 3
_FURTHER = 2.0  # widening of a band beyond the range of a number that was run


@dataclass(frozen=True)
class PredictionAnswer:
    """Predictions with what they are based on.

    Attributes:
        asked: the configurations.
        prediction: value and band of each.
        outside: what of a row is outside of what was run: new units, numbers beyond the range; empty for inside.
        nearest: the runs that are most like a row, as (run id, its value), nearest first.
        law: name of the law that was asked; empty for none.
        measured: runs that are not the law's own, so that its error is known.
        methods: basis (`known`, or the group that is new) → what predicts its rows, and the median relative error of
            each candidate on held-out rows of that kind.
        plan, columns: how it was learned, and from which columns; for further validation.
    """

    asked: Asked
    prediction: Prediction
    outside: Sequence[tuple[str, ...]]
    nearest: Sequence[Sequence[tuple[str, float]]]
    law: str
    measured: int
    methods: Mapping[str, tuple[str, Mapping[str, float]]]
    plan: RunPredictor
    columns: Mapping[str, Column]


def answer(runs: LoggedRuns, settings: Sequence[str], grid: Sequence[str], level: float) -> PredictionAnswer:
    """Predict configurations; raises `UserError` for those that can't be asked for (see `asked_rows`)."""
    laws = installed_laws()
    asked = asked_rows(runs, settings, grid, described=bool(laws))
    own, baseline = _baseline(asked.runs, asked)
    if baseline is None and laws:
        asked = asked_rows(runs, settings, grid)  # refuses what only a law could vary
    runs = asked.runs
    plan = plan_for(runs, level)
    columns = dict(runs.columns)
    if baseline is not None:
        columns[LAW] = own.value
    learners = learners_for(len(runs))
    plan = replace(
        plan, candidates=candidates(learners, baseline is not None), configuration=tuple(runs.columns)
    )
    fitted = plan.fit(columns, runs.target)
    rows: dict[str, Column] = dict(asked.columns())
    prediction, bases = _predicted(plan, fitted, runs, rows, baseline)
    outside = _outside(plan, runs, rows)
    if baseline is None:
        prediction = _widened(prediction, outside)
    methods = {basis: fitted_of.chosen(basis) for basis, fitted_of in bases.items()}
    name = "" if baseline is None else baseline.name
    own_backends = {backend for law in laws if law.name == name for backend in law.backends}
    measured = sum(backend not in own_backends for backend in runs.backends)
    return PredictionAnswer(
        asked, prediction, outside, _nearest(runs, rows), name, measured, methods, plan, columns
    )


def learners_for(rows: int) -> tuple[Learner, ...]:
    """Return what may learn from so many rows; held-out errors choose among them."""
    if rows < ROWS_FOR_BOOSTING:
        return (SmallDataLearner(), small_boosting())
    return (GradientBoosting(leaves=31), GradientBoosting())


def _baseline(runs: LoggedRuns, asked: Asked) -> tuple[LawValues, LawValues | None]:
    """Return what the first law that knows the configurations asked for says of the runs, and of these."""
    for law in installed_laws():
        found = law_values(law, runs.metric, asked.configs())
        if not found.says_something:
            continue
        made = np.array([backend in law.backends for backend in runs.backends])
        others = np.flatnonzero(~made)
        value = np.where(made, runs.target, np.nan)
        if 0 < len(others) <= MOST_SIMULATED:
            value[others] = law_values(law, runs.metric, configs_of_runs(runs, others.tolist())).value
        if np.isfinite(value).any():
            return LawValues(law.name, value, value, value), found
    nothing = np.full(len(runs), np.nan)
    return LawValues("", nothing, nothing, nothing), None


def _predicted(
    plan: RunPredictor,
    fitted: FittedPredictor,
    runs: LoggedRuns,
    rows: Mapping[str, Column],
    baseline: LawValues | None,
) -> tuple[Prediction, dict[str, FittedPredictor]]:
    """Return the predictions; rows of which the law says nothing are predicted without it."""
    if baseline is None:
        found = fitted.predict(rows)
        return found, dict.fromkeys(found.basis, fitted)
    with_law = np.isfinite(baseline.value)
    count = len(with_law)
    predicted, low, high = np.zeros(count), np.zeros(count), np.zeros(count)
    basis, contradicted = np.full(count, KNOWN, dtype=object), np.full(count, None, dtype=object)
    bases: dict[str, FittedPredictor] = {}
    without = replace(plan, candidates=learners_for(len(runs))).fit(runs.columns, runs.target)
    for chosen, model in ((~with_law, without), (with_law, fitted)):
        index = np.flatnonzero(chosen)
        if not len(index):
            continue
        own: dict[str, Column] = {name: values[index] for name, values in rows.items()}
        if model is fitted:
            own[LAW] = baseline.value[index]
        part = model.predict(own)
        predicted[index], low[index], high[index] = part.predicted, part.low, part.high
        contradicted[index] = part.contradicted
        basis[index] = part.basis
        bases.update(dict.fromkeys(part.basis, model))
    # what the law itself states is a band of its own: the wider of both
    low = np.fmin(low, _scaled(baseline.low, predicted, baseline.value))
    high = np.fmax(high, _scaled(baseline.high, predicted, baseline.value))
    return Prediction(predicted, low, high, tuple(basis), tuple(contradicted)), bases


def _scaled(bound: FloatArray, predicted: FloatArray, law: FloatArray) -> FloatArray:
    """Return the law's bound around the corrected value."""
    return np.asarray(bound * predicted / law, dtype=np.float64)


def _outside(plan: RunPredictor, runs: LoggedRuns, rows: Mapping[str, Column]) -> list[tuple[str, ...]]:
    """Return for each row what of it is outside: units that are new, numbers beyond those that were run."""
    found: list[list[str]] = [[] for _ in next(iter(rows.values()))]
    for group in plan.groups:
        trained, asked = joint_codes(runs.columns, rows, group.key)
        for row in np.flatnonzero(~seen_in(asked, trained)):
            found[row].append(f"new {group.name}")
    of_units = {name for group in plan.groups for name in (*group.key, *group.identity)}
    for name, values in runs.columns.items():
        known = [] if values.dtype.kind != "f" else values[np.isfinite(values)].tolist()
        if name in of_units or not known:
            continue
        least, most = min(known), max(known)
        for place, value in enumerate(rows[name].tolist()):
            if np.isfinite(value) and not least <= value <= most:
                side = "above" if value > most else "below"
                found[place].append(f"{name.rpartition('.')[2]} {side} all runs")
    return [tuple(each) for each in found]


def _widened(prediction: Prediction, outside: Sequence[tuple[str, ...]]) -> Prediction:
    """Widen bands beyond a range: no held-out row says how wrong a learner is there."""
    beyond = np.array([any("all runs" in each for each in of_row) for of_row in outside])
    factor = np.where(beyond, _FURTHER, 1.0)
    middle = prediction.predicted
    with np.errstate(divide="ignore"):
        low = middle * np.exp(factor * np.log(prediction.low / middle))
        high = middle * np.exp(factor * np.log(prediction.high / middle))
    return Prediction(middle, low, high, prediction.basis, prediction.contradicted)


def _nearest(runs: LoggedRuns, rows: Mapping[str, Column]) -> list[list[tuple[str, float]]]:
    """Return the runs nearest to each row: mean distance over all settings, each scaled to 0…1 over the runs."""
    encoder = FeatureEncoder.fit(runs.columns)
    training = encoder.encode(runs.columns)
    measured, asked = scaled_like(training, training), scaled_like(training, encoder.encode(rows))
    found = []
    for row in range(len(asked)):
        apart = distances(asked.rows(np.array([row])), measured).mean(axis=0)[0]
        order = np.argsort(apart, kind="stable")[:_NEAREST]
        found.append([(runs.run_ids[place], float(runs.target[place])) for place in order])
    return found
