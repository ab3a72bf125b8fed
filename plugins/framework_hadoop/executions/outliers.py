"""Which executions are not to be trusted: too long or too short for what they ran, by the word of others.

A row's time is compared with a prediction from models that never saw the row (five folds), in log time, so that
twice as long and half as long have the same weight. How large a residual must be depends on how well rows like it are
predicted (a local median of residuals, by benchmark, cluster and knobs). A row that deviates is an *outlier* when
most of its neighbours, itself not among them, are as predicted; else the model is at fault there and the row is a
*warning*. Executions too short to have run at all are *failed*.

The published rule (ALOJA-ML, KDD 2015, section 5) is compared with it in `benchmarks/aloja_outliers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, FloatArray, IntArray, group_codes
from framework.analysis.prediction.learners import fit_boosting, leaf_rows
from framework_hadoop.executions.execution_features import execution_features
from framework_hadoop.executions.execution_table import Executions

Verdict = Literal["ok", "warning", "outlier", "failed", "no time"]

_FOLDS = 5
_MEDIAN_TO_DEVIATION = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class OutlierRule:
    """When a residual is too large.

    Attributes:
        ratio: least factor between time and prediction, either way.
        deviations: least number of local robust standard deviations of log residuals.
        least_deviation: floor of that deviation; two timings of one run differ by this much.
        neighbour_distance: settings (of the configuration) in which a neighbour may differ.
        least_duration_s: an execution below this did not do its work.
    """

    ratio: float = 1.75
    deviations: float = 5.0
    least_deviation: float = 0.05
    neighbour_distance: int = 3
    least_duration_s: float = 60.0


@dataclass(frozen=True)
class OutlierReport:
    """What was found; arrays have one entry an execution.

    Attributes:
        verdict: see `Verdict`.
        predicted_s: time expected by models that did not see the row.
        ratio: time over prediction.
        deviation: local robust standard deviation of log residuals.
        neighbours: neighbours asked; 0 for rows that did not deviate.
    """

    verdict: tuple[Verdict, ...]
    predicted_s: FloatArray
    ratio: FloatArray
    deviation: FloatArray
    neighbours: IntArray


def find_outliers(executions: Executions, rule: OutlierRule | None = None, seed: int = 0) -> OutlierReport:
    """Judge every execution.

    Raises:
        ValueError: fewer than ten executions have a time.
    """
    rule = rule or OutlierRule()
    rows = np.flatnonzero(executions.finished)
    if len(rows) < 2 * _FOLDS:
        raise ValueError(f"outliers need at least {2 * _FOLDS} executions with a time, got {len(rows)}")
    judged = executions.rows(rows)
    columns = execution_features(judged)
    values = FeatureEncoder.fit(columns).encode(columns).values
    log_time = np.log(judged.time_s)
    residual = log_time - _out_of_fold(values, log_time, seed)
    deviation = _local_deviation(values, residual, rule, seed)
    deviates = (np.abs(residual) > np.log(rule.ratio)) & (np.abs(residual) > rule.deviations * deviation)
    confirmed, asked = _neighbours_agree(judged, deviates, rule.neighbour_distance)
    verdicts: list[Verdict] = ["no time"] * len(executions)
    for row, place in enumerate(rows.tolist()):
        verdicts[place] = "ok" if not deviates[row] else "outlier" if confirmed[row] else "warning"
        if judged.time_s[row] < rule.least_duration_s:
            verdicts[place] = "failed"
    full = len(executions)
    neighbours = np.zeros(full, dtype=np.int64)
    neighbours[rows] = asked
    return OutlierReport(
        tuple(verdicts),
        _spread(np.exp(log_time - residual), rows, full),
        _spread(np.exp(residual), rows, full),
        _spread(deviation, rows, full),
        neighbours,
    )


def trusted(executions: Executions) -> Executions:
    """Return the executions that are neither outliers, warnings nor failed; all that have a time if they are few."""
    if np.count_nonzero(executions.finished) < 2 * _FOLDS:
        return executions.rows(np.flatnonzero(executions.finished))
    verdicts = find_outliers(executions).verdict
    return executions.rows(np.flatnonzero(np.array(verdicts) == "ok"))


def _spread(values: FloatArray, rows: IntArray, full: int) -> FloatArray:
    """Return values at their rows among all executions, NaN elsewhere."""
    found = np.full(full, np.nan)
    found[rows] = values
    return found


def _out_of_fold(values: FloatArray, target: FloatArray, seed: int) -> FloatArray:
    """Return the median of log time that models predict which did not see the row."""
    parameters = {
        "objective": "quantile",
        "alpha": 0.5,
        "num_leaves": 255,
        "learning_rate": 0.25,
        "min_data_in_leaf": leaf_rows(len(target)),
        "feature_fraction": 0.9,
    }
    fold = np.random.default_rng(seed).permutation(len(target)) % _FOLDS
    predicted = np.zeros(len(target))
    for k in range(_FOLDS):
        model = fit_boosting(values[fold != k], target[fold != k], parameters, 80, seed)
        predicted[fold == k] = model.predict(values[fold == k])
    return predicted


def _local_deviation(values: FloatArray, residual: FloatArray, rule: OutlierRule, seed: int) -> FloatArray:
    """Return the robust standard deviation of residuals among rows like each row."""
    parameters = {
        "objective": "quantile",
        "alpha": 0.5,
        "num_leaves": 31,
        "learning_rate": 0.2,
        "min_data_in_leaf": max(2, min(40, len(residual) // 10)),
    }
    size = np.abs(residual)
    median = fit_boosting(values, size, parameters, 30, seed).predict(values)
    found: FloatArray = np.maximum(_MEDIAN_TO_DEVIATION * median, rule.least_deviation)
    return found


def _neighbours_agree(
    executions: Executions, deviates: np.ndarray, most_distance: int
) -> tuple[np.ndarray, IntArray]:
    """Return for each deviating row whether most of its neighbours do not deviate, and how many it has.

    Neighbours are the other rows of the same configuration; when there are none, those of the same benchmark and
    cluster that differ in at most `most_distance` settings.
    """
    settings = np.stack(
        [group_codes(executions.columns, [name]) for name in executions.configuration], axis=1
    )
    family = group_codes(executions.columns, ["benchmark", "cluster"])
    agreed, asked = np.zeros(len(deviates), dtype=bool), np.zeros(len(deviates), dtype=np.int64)
    order = np.argsort(family, kind="stable")
    bounds = np.searchsorted(family[order], np.arange(int(family.max()) + 2))
    for row in np.flatnonzero(deviates):
        members = order[bounds[family[row]] : bounds[family[row] + 1]]
        distance = (settings[members] != settings[row]).sum(axis=1)
        others = members != row
        near = members[others & (distance == 0)]
        if not len(near):
            near = members[others & (distance <= most_distance)]
        asked[row] = len(near)
        agreed[row] = len(near) > 0 and np.count_nonzero(~deviates[near]) * 2 > len(near)
    return agreed, asked
