"""Validation against a table of published runs: predictions with bands, errors by class, refusals with reasons."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from framework.contracts import TableBlock
from framework.errors import UserError
from framework_twin.measured.measured_runs import BadRow
from framework_twin.measured.published_prediction import PublishedPrediction, predict_published
from framework_twin.measured.published_table import PublishedRun, PublishedSetup, read_published_runs

if TYPE_CHECKING:
    from rich.console import Console

_ROWS_PER_WORKER = 150
_REASONS_SHOWN = 10


@dataclass(frozen=True)
class PublishedError:
    """Errors of one metric in one group of rows, percent; `inside` is the share in the 80 % band."""

    group: str
    metric: str
    rows: int
    median: float
    p90: float
    bias: float
    inside: float


@dataclass(frozen=True)
class PublishedReport:
    """Predictions of a table's rows: `predicted` in the table's order, `refused` with reasons."""

    predicted: Sequence[tuple[PublishedRun, PublishedPrediction]]
    refused: Sequence[BadRow]


def run_published(file: Path, out: Path | None, json_path: Path | None) -> int:
    """Validate against a table of published runs; the status is 0 when at least one row could be predicted."""
    from rich.console import Console

    from framework.report.terminal.progress_bars import progress_bar

    runs, bad = read_published_runs(file)
    with progress_bar("predicting runs") as show:
        report = validate_published(runs, bad, progress=show)
    if out is not None:
        write_published(report, out)
    errors = [*published_errors(report, _overall), *published_errors(report, _group)]
    if json_path is not None:
        write_summary(report, errors, json_path)
    print_published(Console(), report, errors)
    return 0 if report.predicted else 1


def validate_published(
    runs: Sequence[PublishedRun],
    bad: Iterable[BadRow] = (),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PublishedReport:
    """Predict every run from its setup alone."""
    setups = [run.setup for run in runs]
    workers = min(os.cpu_count() or 1, len(setups) // _ROWS_PER_WORKER)
    if workers < 2:
        outcomes: Iterable[PublishedPrediction | BadRow] = map(_outcome, setups)
        predicted, more = _collected(runs, outcomes, progress)
    else:
        with ProcessPoolExecutor(workers) as pool:
            predicted, more = _collected(runs, pool.map(_outcome, setups, chunksize=30), progress)
    return PublishedReport(predicted, sorted([*bad, *more], key=lambda item: item.row))


def _collected(
    runs: Sequence[PublishedRun],
    outcomes: Iterable[PublishedPrediction | BadRow],
    progress: Callable[[int, int], None],
) -> tuple[list[tuple[PublishedRun, PublishedPrediction]], list[BadRow]]:
    predicted: list[tuple[PublishedRun, PublishedPrediction]] = []
    refused: list[BadRow] = []
    for place, (run, outcome) in enumerate(zip(runs, outcomes, strict=True), start=1):
        progress(place, len(runs))
        if isinstance(outcome, BadRow):
            refused.append(outcome)
        else:
            predicted.append((run, outcome))
    return predicted, refused


def _outcome(setup: PublishedSetup) -> PublishedPrediction | BadRow:
    try:
        return predict_published(setup)
    except UserError as error:
        return BadRow(setup.row, setup.run_id, str(error))


def published_errors(
    report: PublishedReport, group_of: Callable[[PublishedRun, PublishedPrediction], str]
) -> list[PublishedError]:
    """Return errors by group and metric, in the order of the groups' names."""
    found: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for run, prediction in report.predicted:
        for metric, value in prediction.values.items():
            measured = run.measured.get(metric, 0.0)
            if measured > 0:
                low, high = prediction.bands.get(metric, (0.0, float("inf")))
                key = group_of(run, prediction), metric
                found[key].append((value / measured - 1.0, low <= measured <= high))
    errors = []
    for (group, metric), items in sorted(found.items()):
        relative = 100.0 * np.array([item[0] for item in items])
        errors.append(
            PublishedError(
                group=group,
                metric=metric,
                rows=len(items),
                median=float(np.median(np.abs(relative))),
                p90=float(np.quantile(np.abs(relative), 0.9)),
                bias=float(np.median(relative)),
                inside=100.0 * float(np.mean([item[1] for item in items])),
            )
        )
    return errors


def _overall(run: PublishedRun, prediction: PublishedPrediction) -> str:
    return "all"


def _group(run: PublishedRun, prediction: PublishedPrediction) -> str:
    return f"{run.setup.source} {run.setup.gpu} ({prediction.provider})"


def write_published(report: PublishedReport, path: Path) -> None:
    """Write one row a run: predictions, bands, provider, notes; a refused row has its reason alone."""
    names = sorted({name for _, item in report.predicted for name in item.values})
    columns = [f"{end}_{name}" for name in names for end in ("predicted", "low", "high")]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["run_id", *columns, "provider", "notes", "reason"])
        for run, item in report.predicted:
            cells: list[str] = []
            for name in names:
                numbers = (item.values.get(name), *item.bands.get(name, (None, None)))
                cells += ["" if number is None else f"{number:.6g}" for number in numbers]
            writer.writerow([run.setup.run_id, *cells, item.provider, "; ".join(item.notes), ""])
        for bad in report.refused:
            writer.writerow([bad.run_id, *[""] * len(columns), "", "", bad.reason])


def write_summary(report: PublishedReport, errors: Sequence[PublishedError], path: Path) -> None:
    """Write errors and refusals as JSON."""
    content = {
        "predicted": len(report.predicted),
        "unpredictable": [asdict(bad) for bad in report.refused],
        "errors": [asdict(error) for error in errors],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def print_published(console: Console, report: PublishedReport, errors: Sequence[PublishedError]) -> None:
    """Print what was predicted by whom, the errors, and why the rest was not."""
    from framework.report.terminal.terminal_tables import print_table

    total = len(report.predicted) + len(report.refused)
    console.print(
        f"{len(report.predicted)} of {total} runs predicted, none of them by a fitted profile: uncalibrated"
    )
    for provider, count in Counter(item.provider for _, item in report.predicted).most_common():
        console.print(f"  {provider}: {count} runs", markup=False)
    title = "Errors in %, and share of runs inside the 80 % band"
    columns = ("group", "metric", "runs", "median", "p90", "bias", "inside")
    print_table(TableBlock(title, columns, [astuple(error) for error in errors]))
    measured = {name for run, _ in report.predicted for name in run.measured}
    without = sorted(
        measured - {"running_mean"} - {name for _, item in report.predicted for name in item.values}
    )
    if without:
        names = ", ".join(f"measured_{name}" for name in without)
        console.print(f"not compared, as no run has such a prediction: {names}", markup=False)
    for bad in report.refused[:_REASONS_SHOWN]:
        console.print(f"no prediction for row {bad.row} ({bad.run_id}): {bad.reason}", markup=False)
    if len(report.refused) > _REASONS_SHOWN:
        console.print(f"… and {len(report.refused) - _REASONS_SHOWN} more rows without a prediction")
