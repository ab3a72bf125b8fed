"""Measured runs beside the twin's prediction: each figure of each run, with the band and the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from framework.contracts import StoreReader, TableBlock
from framework_twin.calibration.fit import measured_value
from framework_twin.measured.measured_runs import MeasuredRun
from framework_twin.measured.run_prediction import STORED_NAMES
from framework_twin.measured.stored_runs import stored_runs
from framework_twin.validation.validate import RowPrediction, validate_runs

COLUMNS = ("run", "metric", "measured", "predicted", "low", "high", "difference %", "by")
_CAPTION = (
    "low, high: the band of the held-out errors of the profile, or of the physics where there is no profile."
)


def measured_and_predicted(store: StoreReader, name: str) -> list[TableBlock | str]:
    """Return an experiment's, sweep's or run's figures next to the twin's, and why a run has no prediction.

    Raises:
        InputError: there is no finished run of that name.
    """
    runs, bad = stored_runs(store, name)
    report = validate_runs(runs, bad)
    return [
        figures_table(runs, report.rows),
        *(f"{row.run_id}: no prediction: {row.reason}" for row in report.unpredictable),
    ]


def figures_table(runs: Sequence[MeasuredRun], predictions: Sequence[RowPrediction]) -> TableBlock:
    """Return one row for each figure that was both measured and predicted."""
    return TableBlock("Measured and predicted", COLUMNS, list(beside(runs, predictions)), _CAPTION)


def beside(runs: Sequence[MeasuredRun], predictions: Sequence[RowPrediction]) -> Iterator[tuple[Any, ...]]:
    """Yield (run, metric, measured, predicted, low, high, difference in %, profile) of figures that both know."""
    by_id = {prediction.setup.run_id: prediction for prediction in predictions}
    for run in runs:
        prediction = by_id.get(run.setup.run_id)
        if prediction is None:
            continue
        for name, ours in STORED_NAMES.items():
            measured = measured_value(run, ours) if ours != name else None
            measured = measured if measured is not None else measured_value(run, name)
            predicted = prediction.values.get(name)
            if measured is None or predicted is None:
                continue
            low, high = prediction.bands.get(name, (None, None))
            change = 100.0 * (predicted / measured - 1.0) if measured else None
            by = prediction.profile or "no profile"
            yield run.setup.run_id, ours, measured, predicted, low, high, change, by
