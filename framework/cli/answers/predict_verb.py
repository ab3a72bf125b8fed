"""The verb `predict`: a metric of configurations that were never run, from laws and all runs that were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from framework.contracts import Better, TableBlock
from framework.errors import UserError

if TYPE_CHECKING:
    from framework.analysis.prediction.logged_runs import LoggedRuns
    from framework.analysis.prediction.prediction_answer import PredictionAnswer
    from framework.store.side_files.answers import Prediction as PredictionRow

_LEAST_RUNS = 8
_KIND = {"known": "configurations", "configuration": "configurations"}


def run_predict(
    metric: str,
    settings: Sequence[str],
    where: str | None = None,
    grid: Sequence[str] = (),
    level: float = 0.9,
    validation: bool = False,
    outputs: str = "outputs",
) -> int:
    """Predict a metric for one configuration or a grid, print it, and keep it in table `predictions`.

    Args:
        metric: name of the metric.
        settings: `key=value` of the configuration, keys in full or by their last part; what is not given is taken
            as most of the runs have it that agree with what is given.
        where: SQL condition on `results`: the runs to learn from.
        grid: `key=a,b,c` or `key=*` (every value that was run): all combinations are predicted, best first where
            one direction of the metric is better.
        level: nominal coverage of the intervals.
        validation: also print the errors on held-out rows, configurations and units, side by side.
        outputs: outputs folder.

    Raises:
        UserError: no such metric or parameter, too few runs, an invalid value; one line.
    """
    from framework.analysis.prediction.logged_runs import logged_runs
    from framework.analysis.prediction.prediction_answer import answer
    from framework.identity.run_key import canonical_hash, new_run_id
    from framework.plugins import metric_definitions
    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store
    from framework.store.side_files.answers import write_predictions

    runs = logged_runs(Store(outputs), metric, where)
    check_runs(runs)
    found = answer(runs, settings, grid, level)
    run_id = new_run_id(canonical_hash([metric, list(settings), list(grid), where]))
    write_predictions(outputs, _rows(runs, found), run_id)
    ingest(outputs)
    definition = metric_definitions().get(metric)
    order = _order(found, "none" if definition is None else definition.better)
    print_table(prediction_table(runs, found, order))
    for line in notes(runs, found, order):
        print_note(line)
    if validation:
        from framework.analysis.prediction.validation_schemes import validate, validation_table

        print_table(validation_table(validate(found.plan, found.columns, runs.target)))
    return 0


def check_runs(runs: LoggedRuns) -> None:
    """Raise `UserError` when runs are too few, don't differ, or hold values that have no logarithm."""
    if len(runs) < _LEAST_RUNS:
        raise UserError(f"metric '{runs.metric}': {len(runs)} finished runs; prediction needs {_LEAST_RUNS}")
    if not runs.columns:
        raise UserError(f"metric '{runs.metric}': its {len(runs)} runs have the same configuration")
    nonpositive = int(np.count_nonzero(runs.target <= 0))
    if nonpositive:
        raise UserError(
            f"metric '{runs.metric}' is zero or negative in {nonpositive} of {len(runs)} runs; "
            f'narrow them, e.g. --where "{runs.metric} > 0"'
        )


def _order(found: PredictionAnswer, better: Better) -> list[int]:
    """Return the rows best first; as asked where no direction is better."""
    sign = {"higher": -1.0, "lower": 1.0, "none": 0.0}[better]
    return [int(row) for row in np.argsort(sign * found.prediction.predicted, kind="stable")]


def prediction_table(runs: LoggedRuns, found: PredictionAnswer, order: Sequence[int]) -> TableBlock:
    """Return the predictions as a table in the given order."""
    prediction, names = found.prediction, list(found.asked.axes)
    methods = [found.methods[basis][0] for basis in prediction.basis]
    several = len(set(methods)) > 1  # else the line on trust says it
    rows = [
        [
            *(found.asked.rows[row][name] for name in names),
            float(prediction.predicted[row]),
            float(prediction.low[row]),
            float(prediction.high[row]),
            "; ".join(found.outside[row]) or "inside",
            *([methods[row]] if several else []),
        ]
        for row in order
    ]
    source = f"{found.law} and {len(runs)} runs" if found.law else f"{len(runs)} runs"
    columns = [*names, runs.metric, "low", "high", "what was run", *(["predicted by"] if several else [])]
    return TableBlock(f"{runs.metric}, predicted from {source}", columns, rows)


def notes(runs: LoggedRuns, found: PredictionAnswer, order: Sequence[int]) -> list[str]:
    """Return the lines below the table: which of law and learning to trust, nearest runs, what was assumed."""
    lines = list(dict.fromkeys(fact for fact in found.prediction.contradicted if fact is not None))
    if found.law and not found.measured:
        lines.append(
            f"trust: all runs are the {found.law}'s own, so its band is that of its physics, tested elsewhere"
        )
    methods = {_KIND.get(basis, f"{basis}s"): method for basis, method in found.methods.items()}
    for kind, (chosen, errors) in methods.items() if found.measured or not found.law else ():
        shares = ", ".join(f"{name} {error:.1%}" for name, error in errors.items())
        lines.append(f"trust: {chosen}. Median error on {kind} that were held out: {shares}")
    nearest = ", ".join(f"{run_id} ({value:.4g})" for run_id, value in found.nearest[order[0]])
    lines.append(f"runs nearest to the first row: {nearest}")
    assumed = _assumed(found)
    lines.append(
        f"set to the most frequent value of the runs: {', '.join(assumed)}"
        if assumed
        else "every parameter that differs between the runs was given, or follows from what was given"
    )
    return lines


def _assumed(found: PredictionAnswer) -> list[str]:
    """Return `name=value` of the parameters that were filled in; those that follow from a name are left out."""
    given, rows = found.asked.axes, found.asked.rows
    follow = {name for group in found.plan.groups for name in (*group.key, *group.identity)}
    names = {group.name for group in found.plan.groups}
    shown = []
    for name in found.asked.runs.columns:
        values = {row.get(name, "") for row in rows}
        unit = name == f"{name.partition('.')[0]}.name"
        if name in given or len(values) != 1 or values == {""} or (name in follow and not unit):
            continue
        if name.startswith("workload.") and "workload" in names and not unit:
            continue  # part of the workload that is named
        shown.append(f"{name}={values.pop()}")
    return shown


def _rows(runs: LoggedRuns, found: PredictionAnswer) -> list[PredictionRow]:
    from framework.store.side_files.answers import Prediction as PredictionRow

    prediction = found.prediction
    return [
        PredictionRow(
            row,
            runs.metric,
            float(prediction.predicted[row]),
            float(prediction.low[row]),
            float(prediction.high[row]),
            unit=runs.unit,
            method=f"{found.methods[prediction.basis[row]][0]}, {'; '.join(found.outside[row]) or 'inside'}",
            config=settings,
        )
        for row, settings in enumerate(found.asked.rows)
    ]
