"""The columns of the results table in groups, and the reasons of absent metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from framework.contracts import MetricDefinition, TableBlock
from framework.report.run_table import RunTable, short_names

MAX_BYTES = 500_000
"""Size that the rows may take: with plotly.js (2 MB) and its figures a report of 1,000 runs is within 3 MB."""


@dataclass(frozen=True)
class Column:
    """A column: its label, its unit, and what shows on hover."""

    label: str
    unit: str
    hint: str
    numeric: bool


@dataclass(frozen=True)
class ColumnGroup:
    """Neighbouring columns that are shown and hidden together."""

    name: str
    columns: Sequence[Column]


_IDENTITY = ColumnGroup(
    "Run",
    [
        Column("run", "", "identity of the run in the store", False),
        Column("backend", "", "what executed the workload", False),
        Column("sanity", "", "did the run do what it claims?", False),
    ],
)


def results_content(table: RunTable) -> dict[str, Any]:
    """Return what `results.html` shows."""
    metric_groups = _metric_groups(table.metrics)
    return {
        "table": table,
        "groups": [_IDENTITY, *_parameter_group(table), *metric_groups],
        "metrics": [column for group in metric_groups for column in group.columns],
        "absences": _absences(table),
        "max_bytes": MAX_BYTES,
    }


def _parameter_group(table: RunTable) -> list[ColumnGroup]:
    short = short_names(table.parameters)
    columns = [
        Column(short[name], "", name, all(is_number_text(row.parameters.get(name)) for row in table.rows))
        for name in table.parameters
    ]
    return [ColumnGroup("Configuration", columns)] if columns else []


def _metric_groups(metrics: Sequence[MetricDefinition]) -> list[ColumnGroup]:
    """Metrics whose names start with the same word (`itl_mean_ms`, `itl_p99_ms`) form a group."""
    first_words = Counter(metric.name.split("_")[0] for metric in metrics)
    groups: dict[str, list[Column]] = defaultdict(list)
    for metric in metrics:
        word = metric.name.split("_")[0]
        group = word if first_words[word] > 2 else "Metrics"
        groups[group].append(Column(metric.name, metric.unit, metric.description, True))
    return [ColumnGroup(name, columns) for name, columns in groups.items()]


def _absences(table: RunTable) -> TableBlock:
    reasons = Counter(
        (name, metric.reason or "no reason was given")
        for row in table.rows
        for name, metric in row.metrics.items()
        if metric.value is None
    )
    rows = [(name, reason, runs) for (name, reason), runs in sorted(reasons.items())]
    return TableBlock("Metrics that could not be measured", ("metric", "reason", "runs"), rows)


def is_number_text(text: str | None) -> bool:
    """Return whether a parameter's text is a number."""
    try:
        float(text or "")
    except ValueError:
        return False
    return True
