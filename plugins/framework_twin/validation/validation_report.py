"""What `validate` shows and writes: tables for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.analysis.error_measures import ErrorSummary
from framework.contracts import TableBlock
from framework_twin.calibration.cross_validation import CrossValidation
from framework_twin.measured.prediction_error import GroupError
from framework_twin.validation.validate import ValidationReport

if TYPE_CHECKING:
    from rich.console import Console

_HEADLINES = (
    "total_tok_s",
    "completed",
    "itl_mean_ms",
    "itl_p99_ms",
    "ttft_mean_ms",
    "ttft_censored_ms",
    "kv_usage_peak",
    "power_mean_w",
)
_FIGURES = ("MAPE", "halved SMAPE", "median APE", "p90 APE", "bias")
_REASONS_SHOWN = 10


def print_report(console: Console, report: ValidationReport, crossed: CrossValidation | None) -> None:
    """Print error tables, baselines, agreements and unpredictable rows."""
    total = len(report.rows) + len(report.unpredictable)
    console.print(
        f"{len(report.rows)} of {total} runs predicted, {len(report.unpredictable)} without a prediction"
    )
    _print_errors("Twin", report.errors)
    for name, errors in report.baselines.items():
        groups = ("all clean", "regime above")
        _print_errors(f"Baseline: {name}", [item for item in errors if item.group in groups])
    for agreement in report.agreements:
        share = 100.0 * agreement.right / agreement.count
        console.print(
            f"{agreement.question}: right in {agreement.right} of {agreement.count} runs ({share:.1f} %)"
        )
    for metric, (hits, count) in report.inside.items():
        if metric in _HEADLINES:
            console.print(f"80 % interval of {metric}: {100.0 * hits / count:.0f} % of {count} runs inside")
    if crossed is not None:
        _print_errors("Held-out families", crossed.errors)
        for metric, share in crossed.coverage.items():
            if metric in _HEADLINES:
                console.print(f"80 % interval of {metric}, held-out families: {100.0 * share:.0f} % inside")
        for line in crossed.skipped:
            console.print(f"not refitted without: {line}")
    for bad in report.unpredictable[:_REASONS_SHOWN]:
        console.print(f"no prediction for row {bad.row} ({bad.run_id}): {bad.reason}", markup=False)
    if len(report.unpredictable) > _REASONS_SHOWN:
        console.print(f"… and {len(report.unpredictable) - _REASONS_SHOWN} more rows without a prediction")


def _print_errors(title: str, errors: Sequence[GroupError]) -> None:
    from framework.report.terminal.terminal_tables import print_table

    rows = [
        (item.group, item.metric, item.errors.count, *_figures(item.errors))
        for item in errors
        if item.group == "all clean" or item.metric in _HEADLINES
    ]
    if rows:
        print_table(TableBlock(f"{title}: errors in %", ("group", "metric", "runs", *_FIGURES), rows))


def _figures(found: ErrorSummary) -> tuple[float | None, ...]:
    return found.mape, found.smape_halved, found.median_ape, found.p90_ape, found.bias


def write_predictions(report: ValidationReport, path: Path) -> None:
    """Write one row a run: `predicted_*` columns named as the `measured_*` ones, bands next to them."""
    names = sorted({name for row in report.rows for name in row.values})
    banded = sorted({name for row in report.rows for name in row.bands})
    header = ["run_id", *(_column(name) for name in names)]
    header += [f"{_column(name)}_{end}" for name in banded for end in ("low", "high")]
    header += ["predicted_starved", "profile", "warnings"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        for row in report.rows:
            cells: list[Any] = [row.setup.run_id, *(_cell(row.values.get(name)) for name in names)]
            for name in banded:
                low, high = row.bands.get(name, (None, None))
                cells += [_cell(low), _cell(high)]
            starved = "" if row.starved is None else str(row.starved)
            writer.writerow([*cells, starved, row.profile, "; ".join(row.warnings)])


def write_summary(report: ValidationReport, crossed: CrossValidation | None, path: Path) -> None:
    """Write errors, baselines, agreements and reasons as JSON."""
    summary: dict[str, Any] = {
        "predicted": len(report.rows),
        "unpredictable": [asdict(bad) for bad in report.unpredictable],
        "errors": _error_rows(report.errors),
        "baselines": {name: _error_rows(errors) for name, errors in report.baselines.items()},
        "agreements": [asdict(agreement) for agreement in report.agreements],
        "inside_80_percent_interval": {
            metric: {"inside": hits, "runs": count} for metric, (hits, count) in report.inside.items()
        },
    }
    if crossed is not None:
        summary["family_left_out"] = {
            "errors": _error_rows(crossed.errors),
            "coverage_of_80_percent_interval": crossed.coverage,
            "not_left_out": list(crossed.skipped),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _error_rows(errors: Sequence[GroupError]) -> list[dict[str, Any]]:
    return [{"group": item.group, "metric": item.metric, **asdict(item.errors)} for item in errors]


def _column(name: str) -> str:
    return f"predicted_{name}"


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"
