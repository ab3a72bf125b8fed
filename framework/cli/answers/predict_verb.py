"""The verb `predict`: a metric of configurations that were never run, from all runs that were."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from framework.contracts import Better, TableBlock
from framework.errors import UserError

if TYPE_CHECKING:
    from framework.analysis.prediction.features import Column
    from framework.analysis.prediction.logged_runs import LoggedRuns
    from framework.analysis.prediction.predictor import Prediction
    from framework.store.side_files.answers import Prediction as PredictionRow

_LEAST_RUNS = 8
_MOST_CONFIGURATIONS = 100_000
Settings = dict[str, str]


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
    from framework.analysis.prediction.logged_runs import logged_runs, plan_for
    from framework.identity.run_key import canonical_hash, new_run_id
    from framework.plugins import metric_definitions
    from framework.report.terminal.terminal_tables import print_note, print_table
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store
    from framework.store.side_files.answers import write_predictions

    runs = logged_runs(Store(outputs), metric, where)
    check_runs(runs)
    axes = _axes(runs, settings, grid)
    asked = configurations(runs, axes)
    plan = plan_for(runs, level)
    prediction = plan.fit(runs.columns, runs.target).predict(as_columns(runs, asked))
    run_id = new_run_id(canonical_hash([metric, list(settings), list(grid), where]))
    write_predictions(outputs, _rows(runs, asked, prediction, plan.learner_for(len(runs)).name), run_id)
    ingest(outputs)
    definition = metric_definitions().get(metric)
    better = "none" if definition is None else definition.better
    print_table(prediction_table(runs, asked, prediction, list(axes), better))
    for note in dict.fromkeys(fact for fact in prediction.contradicted if fact is not None):
        print_note(note)
    print_note(_assumed(runs, asked, axes))
    if validation:
        from framework.analysis.prediction.validation_schemes import validate, validation_table

        print_table(validation_table(validate(plan, runs.columns, runs.target)))
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


def _axes(runs: LoggedRuns, settings: Sequence[str], grid: Sequence[str]) -> dict[str, list[str]]:
    """Return the values asked for by full parameter name; a value that all runs have needs no axis.

    Raises:
        UserError: an unknown parameter, or a value of one that has another value in all runs.
    """
    from framework.analysis.prediction.logged_runs import full_name, known_value

    axes: dict[str, list[str]] = {}
    for text in (*settings, *grid):
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise UserError(f"'{text}' is not key=value")
        name = full_name(key.strip(), runs)
        if name in axes:
            raise UserError(f"'{key}' is given twice")
        wanted = [part.strip() for part in values.replace("|", ",").split(",")]
        if name in runs.constants:
            constant = runs.constants[name]
            if values != "*" and any(known_value(value, [constant]) is None for value in wanted):
                raise UserError(f"all {len(runs)} runs use {key}={constant}; it can't be varied")
            continue
        known = sorted({_text(value) for value in runs.columns[name].tolist()} - {""}, key=_natural)
        axes[name] = known if values == "*" else [known_value(value, known) or value for value in wanted]
        if runs.columns[name].dtype.kind == "f":
            _check_numbers(key, axes[name])
    return axes


def _check_numbers(key: str, values: Sequence[str]) -> None:
    for value in values:
        try:
            float(value)
        except ValueError:
            raise UserError(
                f"'{key}={value}': not a number, but this parameter is a number in every run"
            ) from None


def _text(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _natural(text: str) -> tuple[bool, float, str]:
    try:
        return (False, float(text), "")
    except ValueError:
        return (True, 0.0, text)


def configurations(runs: LoggedRuns, axes: Mapping[str, Sequence[str]]) -> list[Settings]:
    """Return every combination of the values asked for, completed from the runs that agree with it most.

    Raises:
        UserError: more combinations than can be looked at.
    """
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > _MOST_CONFIGURATIONS:
        raise UserError(
            f"the grid has {count} configurations; at most {_MOST_CONFIGURATIONS} are predicted at once"
        )
    texts = {name: [_text(value) for value in values.tolist()] for name, values in runs.columns.items()}
    usual: dict[tuple[str, ...], Settings] = {}
    found = []
    # a number between those that were run says nothing of the other parameters; a model's name says its layers
    fixed = [
        name for name, values in axes.items() if len(values) == 1 or runs.columns[name].dtype.kind != "f"
    ]
    for combination in itertools.product(*axes.values()):
        given = dict(zip(axes, combination, strict=True))
        key = tuple(given[name] for name in fixed)
        if key not in usual:
            usual[key] = _usual(texts, {name: given[name] for name in fixed})
        found.append({**usual[key], **given})
    return found


def _usual(texts: Mapping[str, Sequence[str]], given: Settings) -> Settings:
    """Return the commonest value of each parameter among the runs that share most of the given values."""
    rows = len(next(iter(texts.values())))
    shared = [sum(texts[name][row] == value for name, value in given.items()) for row in range(rows)]
    most = max(shared)
    alike = [row for row in range(rows) if shared[row] == most]
    return {
        name: Counter(values[row] for row in alike).most_common(1)[0][0] for name, values in texts.items()
    }


def as_columns(runs: LoggedRuns, asked: Sequence[Settings]) -> dict[str, Column]:
    """Return configurations as columns of the runs' types."""
    columns: dict[str, Column] = {}
    for name, values in runs.columns.items():
        texts = [settings[name] or None for settings in asked]
        if values.dtype.kind == "f":
            columns[name] = np.array([np.nan if text is None else float(text) for text in texts])
        else:
            columns[name] = np.array(texts, dtype=object)
    return columns


def prediction_table(
    runs: LoggedRuns, asked: Sequence[Settings], prediction: Prediction, names: Sequence[str], better: Better
) -> TableBlock:
    """Return the predictions as a table, best first; as asked where no direction is better."""
    sign = {"higher": -1.0, "lower": 1.0, "none": 0.0}[better]
    order = np.argsort(sign * prediction.predicted, kind="stable")
    columns = [*names, runs.metric, "low", "high", "basis"]
    rows = [
        [
            *(asked[row][name] for name in names),
            float(prediction.predicted[row]),
            float(prediction.low[row]),
            float(prediction.high[row]),
            prediction.basis[row],
        ]
        for row in order
    ]
    return TableBlock(f"{runs.metric}, predicted from {len(runs)} runs", columns, rows)


def _assumed(runs: LoggedRuns, asked: Sequence[Settings], axes: Mapping[str, Sequence[str]]) -> str:
    common = {
        name: asked[0][name] for name in runs.columns if len({settings[name] for settings in asked}) == 1
    }
    taken = [f"{name}={value}" for name, value in common.items() if name not in axes and value]
    return (
        f"set to the most frequent value of the runs: {', '.join(taken)}"
        if taken
        else "every parameter that differs between the runs was given"
    )


def _rows(
    runs: LoggedRuns, asked: Sequence[Settings], prediction: Prediction, method: str
) -> list[PredictionRow]:
    from framework.store.side_files.answers import Prediction as PredictionRow

    return [
        PredictionRow(
            row,
            runs.metric,
            float(prediction.predicted[row]),
            float(prediction.low[row]),
            float(prediction.high[row]),
            unit=runs.unit,
            method=f"{method}, {prediction.basis[row]}",
            config=settings,
        )
        for row, settings in enumerate(asked)
    ]
