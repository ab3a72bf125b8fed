"""The study `aloja_prediction`: learn from one file of executions, predict every row of another.

    python -m framework +experiment=aloja_prediction data.train=train.csv data.test=test.csv

The run holds table `predictions` (one row for each row of the test file, in its order) and the errors on the test
rows that have a time. Nothing of a test row but its configuration is looked at to predict it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.configuration.plain_values import one_of
from framework.contracts import Metric, Result, RunContext, SanityCheck, Verdict, WorkloadTables
from framework.errors import ConfigError, InputError
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import COLUMNS, Executions, from_arrow, to_arrow

if TYPE_CHECKING:
    from framework.analysis.prediction.predictor import Prediction, RunPredictor

TARGET = "exe_time_s"
VALIDATIONS = ("quick", "full", "none")
HELD_OUT = (
    "mape_held_out_rows",
    "mape_held_out_configurations",
    "mape_held_out_clusters",
    "mape_held_out_benchmarks",
)
"""MAPE of the four schemes, in the order in which they are measured."""
_LEAST_TRAINING_ROWS = 2
_SHOWN_ODD_CELLS = 3


class ExecutionFiles:
    """Reads the two files into tables `train` and `test`."""

    def __init__(self, train: str | None, test: str | None, seed: int = 0, name: str = "executions") -> None:
        self.files = {"train": train, "test": test}

    def build(self, seed: int) -> WorkloadTables:
        """Return both tables. Raises `InputError` naming the file, and the row where there is one."""
        tables, facts, digest = {}, {}, hashlib.sha256()
        for role, file in self.files.items():
            if not file:
                raise ConfigError(
                    f"configuration key 'data.{role}': name a CSV file, e.g. data.{role}=runs.csv"
                )
            executions = read_executions(file)
            tables[role] = to_arrow(executions)
            facts[role] = _facts(executions)
            digest.update(hashlib.sha256(Path(file).read_bytes()).digest())
        return WorkloadTables(tables, digest.hexdigest()[:32], facts)


def _facts(executions: Executions) -> dict[str, Any]:
    return {
        "file": Path(executions.source).name,
        "rows": len(executions),
        "rows_without_time": int((~executions.finished).sum()),
        "odd_cells": len(executions.odd),
        "first_odd_cells": [str(cell) for cell in executions.odd[:_SHOWN_ODD_CELLS]],
        "absent_columns": list(executions.absent),
        "own_columns": list(executions.own),
    }


class ExecutionPrediction:
    """Predicts the test table from the training table."""

    def __init__(
        self,
        level: float = 0.9,
        learner: str = "auto",
        validation: str = "quick",
        knowledge: bool = True,
        name: str = "execution_prediction",
    ) -> None:
        from framework_hadoop.knowledge.published_learners.learner_words import learner_named

        if not 0.5 <= level < 1:
            raise ConfigError(f"configuration key 'backend.level': must be in [0.5, 1), got {level}")
        self.level = level
        self.learner = learner_named(learner, "backend.learner")
        self.validation = one_of(validation, "backend.validation", VALIDATIONS)
        self.knowledge = knowledge

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for a workload that is not a pair of execution tables, or too few training rows."""
        if not {"train", "test"} <= set(workload.tables):
            raise ConfigError("backend 'execution_prediction' needs workload=executions")
        times = workload.tables["train"].column(TARGET)
        usable = len(times) - times.null_count
        if usable < _LEAST_TRAINING_ROWS:
            file = workload.facts["train"]["file"]
            raise InputError(
                f"{file}: {usable} rows with a time in 'Exe.Time'; at least 2 are needed for training"
            )

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Learn, predict, and measure the errors where the test rows have a time."""
        from dataclasses import replace

        from framework_hadoop.executions.execution_features import execution_features, execution_predictor

        train = from_arrow(workload.tables["train"])
        test = from_arrow(workload.tables["test"]).like(train)
        known = train.rows(np.flatnonzero(train.finished))
        columns = execution_features(known)
        plan = replace(
            execution_predictor(self.level, context.seed, train.configuration), learner=self.learner
        )
        context.progress(0.1, "learning")
        fitted = plan.fit(columns, known.time_s)
        prediction = fitted.predict(execution_features(test))
        result = Result(
            metrics=_metrics(prediction, test.time_s),
            tables={"predictions": _table(prediction, test.time_s, plan.learner_for(len(known)).name)},
            facts={
                "basis_rows": {name: prediction.basis.count(name) for name in sorted(set(prediction.basis))}
            },
            checks=_checks(workload),
        )
        _add_regret(result, test, prediction)
        _add_clusters(result, test, prediction, self.level)
        if self.validation != "none":
            context.progress(0.3, "holding out rows, configurations, clusters, benchmarks")
            _add_validation(result, plan, columns, known.time_s, full=self.validation == "full")
        if self.knowledge:
            context.progress(0.8, "tree, effects, best configurations")
            _add_knowledge(result, known, fitted.predict(columns).predicted)
        return result


def _add_clusters(result: Result, test: Executions, prediction: Prediction, level: float) -> None:
    """Add errors and coverage by cluster: one figure over all of them hides where intervals are too narrow."""
    from framework_hadoop.knowledge.knowledge_tables import cluster_error_rows
    from framework_hadoop.knowledge.stored_report.cluster_accuracy import cluster_errors, error_rows

    clusters = test.columns["cluster"].tolist()
    found = cluster_errors(
        clusters, test.time_s, prediction.predicted, prediction.low, prediction.high, level
    )
    result.tables["cluster_errors"] = cluster_error_rows(error_rows(found))


def _add_regret(result: Result, test: Executions, prediction: Prediction) -> None:
    from framework_hadoop.knowledge.knowledge_tables import recommendation_rows, recommendations

    found = recommendations(test, prediction.predicted)
    result.tables["recommendations"] = recommendation_rows(found)
    if found:
        regret = float(np.median([item.regret for item in found]))
        result.metrics.append(Metric("regret", regret, source="predictions"))
    else:
        reason = "the test file contains no benchmark and cluster with two measured configurations"
        result.metrics.append(Metric.absent("regret", reason, source="predictions"))


def _add_validation(result: Result, plan: RunPredictor, columns: Any, target: np.ndarray, full: bool) -> None:
    from framework.analysis.prediction.validation_schemes import validate, validation_table
    from framework_hadoop.knowledge.knowledge_tables import error_rows

    errors = validate(plan, columns, target, quick=not full)
    for name, error in zip(HELD_OUT, errors, strict=True):
        known = error.mape is not None
        result.metrics.append(
            Metric(name, error.mape, source="validation")
            if known
            else Metric.absent(name, error.reason or "", source="validation")
        )
    result.tables["prediction_errors"] = error_rows(validation_table(errors))


def _add_knowledge(result: Result, known: Executions, predicted_s: np.ndarray) -> None:
    from framework_hadoop.executions.effectiveness import setting_effects
    from framework_hadoop.executions.execution_sql import file_query
    from framework_hadoop.executions.execution_table import BY_NAME
    from framework_hadoop.knowledge.best_configuration import KNOBS, best_configurations, tree_of_executions
    from framework_hadoop.knowledge.knowledge_tables import best_rows, effect_rows, tree_table

    query = file_query(known)
    effects = setting_effects(query, [f"{BY_NAME[knob].group}.{knob}" for knob in KNOBS])
    result.tables["knowledge_tree"] = tree_table(tree_of_executions(known, predicted_s))
    result.tables["knob_effects"] = effect_rows(effects)
    result.tables["best_settings"] = best_rows(best_configurations(query, known))


def _metrics(prediction: Prediction, measured: np.ndarray) -> list[Metric]:
    """Return the errors as fractions; absent with a reason when no test row has a time."""
    from framework.analysis.error_measures import mape, median_ape, smape_halved

    known = np.isfinite(measured)
    p, m = prediction.predicted[known], measured[known]
    names = {"mape": "", "median_ape": "", "mae": "s", "smape_halved": "", "interval_coverage": ""}
    if not len(m):
        reason = "no row of the test file has a time"
        return [Metric.absent(name, reason, unit, "predictions") for name, unit in names.items()]
    inside = (prediction.low[known] <= m) & (m <= prediction.high[known])
    values = {
        "mape": mape(p, m) / 100,
        "median_ape": median_ape(p, m) / 100,
        "mae": float(np.mean(np.abs(p - m))),
        "smape_halved": smape_halved(p, m) / 100,
        "interval_coverage": float(np.mean(inside)),
    }
    return [Metric(name, values[name], unit, "predictions") for name, unit in names.items()]


def _table(prediction: Prediction, measured: np.ndarray, learner: str) -> Any:
    import pyarrow as pa

    rows = len(measured)
    method = [
        f"{learner}, {basis}" if basis == "known" else f"{learner}, new {basis}" for basis in prediction.basis
    ]
    return pa.table(
        {
            "row": pa.array(np.arange(rows), pa.int64()),
            "target": pa.repeat(pa.scalar(TARGET), rows),
            "predicted": prediction.predicted,
            "low": prediction.low,
            "high": prediction.high,
            "measured": pa.array(measured, from_pandas=True),
            "unit": pa.repeat(pa.scalar("s"), rows),
            "method": pa.array(method, pa.string()),
        }
    )


def _checks(workload: WorkloadTables) -> list[SanityCheck]:
    """Return what a reader must know of the two files: odd cells, rows left out, columns that are not there."""
    checks = []
    for role in ("train", "test"):
        facts = workload.facts[role]
        findings = []
        if facts["odd_cells"]:
            shown = "; ".join(facts["first_odd_cells"])
            findings.append(f"{facts['odd_cells']} unusual cells treated as missing ({shown})")
        if role == "train" and facts["rows_without_time"]:
            findings.append(f"{facts['rows_without_time']} rows without a time left out")
        configuration = [
            column.name for column in COLUMNS if column.group and column.name in facts["absent_columns"]
        ]
        if configuration:
            findings.append(f"no columns for {', '.join(configuration)}")
        verdict: Verdict = "warn" if findings else "pass"
        checks.append(
            SanityCheck(f"{role}_file", verdict, f"{facts['file']}: " + ("; ".join(findings) or "whole"))
        )
    return checks
