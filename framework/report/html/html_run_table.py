"""The results table of a report: sortable, filterable, column groups, absent metrics with their reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from framework.contracts import MetricDefinition
from framework.report.number_format import ABSENT, count_noun, format_interval, format_number
from framework.report.run_table import MeasuredValue, RunRow, RunTable, short_names

MAX_BYTES = 900_000
"""Size that the table's rows may take in the page: with plotly.js the report stays below 6 MB."""

_IDENTITY = ("run", "backend", "sanity")


@dataclass(frozen=True)
class _Column:
    label: str
    unit: str
    hint: str
    group: str
    numeric: bool


def run_table_html(table: RunTable, experiment: str) -> str:
    """Return the table with its controls and notes; rows that don't fit are counted in a note."""
    if not table.rows:
        return '<p class="note">No run has finished, so there are no results.</p>'
    columns = [*_identity_columns(), *_parameter_columns(table), *_metric_columns(table.metrics)]
    rows = list(_rows_within(table, columns, MAX_BYTES))
    cut = (
        f'<p class="note warn">{len(rows):,} of {count_noun(table.total, "finished run")} are shown, the earliest'
        ' first. All of them: <code>framework sql "SELECT * FROM results WHERE experiment ='
        f" '{escape(experiment)}'\" --format csv</code></p>"
        if len(rows) < table.total
        else ""
    )
    return (
        f"{cut}{_controls(columns)}"
        f'<div class="scroll tall"><table id="runs" class="runs"><caption>{count_noun(len(rows), "finished run")};'
        " a dash is a metric that is absent, the reason shows on hover and is listed below.</caption>"
        f"<thead>{_group_row(columns)}{_name_row(columns)}</thead>\n<tbody>{''.join(rows)}</tbody></table></div>"
        f"{_absences(table)}"
    )


def _identity_columns() -> list[_Column]:
    hints = (
        "identity of the run in the store",
        "what executed the workload",
        "did the run do what it claims?",
    )
    return [_Column(name, "", hint, "Run", False) for name, hint in zip(_IDENTITY, hints, strict=True)]


def _parameter_columns(table: RunTable) -> list[_Column]:
    short = short_names(table.parameters)
    return [
        _Column(
            short[name],
            "",
            name,
            "Configuration",
            all(_as_number(row.parameters.get(name)) is not None for row in table.rows),
        )
        for name in table.parameters
    ]


def _metric_columns(metrics: Sequence[MetricDefinition]) -> list[_Column]:
    """Metrics whose names start with the same word (`itl_mean_ms`, `itl_p99_ms`) form a group."""
    first_words = Counter(metric.name.split("_")[0] for metric in metrics)
    by_group: dict[str, list[MetricDefinition]] = defaultdict(list)
    for metric in metrics:
        word = metric.name.split("_")[0]
        by_group[word if first_words[word] > 2 else "Metrics"].append(metric)
    return [
        _Column(metric.name, metric.unit, metric.description, group, True)
        for group, members in by_group.items()
        for metric in members
    ]


def _controls(columns: Sequence[_Column]) -> str:
    groups = dict.fromkeys(column.group for column in columns if column.group != "Run")
    boxes = "".join(
        f'<label><input type="checkbox" checked data-group="{escape(group)}"> {escape(group)}</label>'
        for group in groups
    )
    return (
        '<div class="controls" role="group" aria-label="Results table controls">'
        '<label>Filter <input type="search" id="filter" placeholder="words, or itl_mean_ms&lt;20"></label>'
        f"<fieldset><legend>Columns</legend>{boxes}</fieldset>"
        '<button type="button" id="csv">Save as CSV</button><output id="shown" for="filter"></output></div>'
    )


def _group_row(columns: Sequence[_Column]) -> str:
    cells, start = [], 0
    for end in range(1, len(columns) + 1):
        if end == len(columns) or columns[end].group != columns[start].group:
            group = escape(columns[start].group)
            cells.append(f'<th scope="colgroup" colspan="{end - start}" data-group="{group}">{group}</th>')
            start = end
    return f'<tr class="groups">{"".join(cells)}</tr>'


def _name_row(columns: Sequence[_Column]) -> str:
    cells = []
    for column in columns:
        unit = f' <span class="unit">{escape(column.unit)}</span>' if column.unit else ""
        hint = f' title="{escape(column.hint)}"' if column.hint else ""
        number = ' class="n"' if column.numeric else ""
        cells.append(
            f'<th scope="col" aria-sort="none" data-group="{escape(column.group)}"{number}{hint}>'
            f'<button type="button" class="sort">{escape(column.label)}{unit}</button></th>'
        )
    return f"<tr>{''.join(cells)}</tr>"


def _rows_within(table: RunTable, columns: Sequence[_Column], budget: int) -> Iterator[str]:
    metric_names = [column.label for column in columns[len(_IDENTITY) + len(table.parameters) :]]
    for row in table.rows:
        text = _row_html(row, table.parameters, metric_names)
        budget -= len(text.encode())
        if budget < 0:
            return
        yield text


def _row_html(row: RunRow, parameters: Sequence[str], metrics: Sequence[str]) -> str:
    sanity = row.sanity or "unchecked"
    cells = [
        f'<th scope="row">{escape(row.run_id)}</th>',
        f"<td>{escape(row.backend)}</td>",
        f'<td class="verdict-{escape(sanity)}">{escape(sanity)}</td>',
        *(_parameter_cell(row.parameters.get(name)) for name in parameters),
        *(_metric_cell(row.metrics.get(name)) for name in metrics),
    ]
    return f"<tr>{''.join(cells)}</tr>\n"


def _parameter_cell(value: str | None) -> str:
    if value is None:
        return f'<td class="absent" title="not a parameter of this run">{ABSENT}</td>'
    number = ' class="n"' if _as_number(value) is not None else ""
    return f"<td{number}>{escape(value)}</td>"


def _metric_cell(metric: MeasuredValue | None) -> str:
    if metric is None or metric.value is None:
        reason = metric.reason if metric and metric.reason else "not measured in this run"
        return f'<td class="absent n" title="{escape(reason)}">{ABSENT}</td>'
    text = format_number(metric.value)
    interval = format_interval(metric.low, metric.high)
    hint = f' title="{interval}"' if interval else ""
    # the exact value is what sorting, filtering and CSV use
    exact = f"{metric.value:.7g}"
    value = f' data-v="{exact}"' if exact != text else ""
    return f'<td class="n"{value}{hint}>{text}</td>'


def _absences(table: RunTable) -> str:
    reasons: Counter[tuple[str, str]] = Counter()
    for row in table.rows:
        for name, metric in row.metrics.items():
            if metric.value is None:
                reasons[name, metric.reason or "no reason was given"] += 1
    if not reasons:
        return ""
    items = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(reason)}</td><td class="n">{count:,}</td></tr>'
        for (name, reason), count in sorted(reasons.items())[:200]
    )
    return (
        '<details><summary>Why values are absent</summary><div class="scroll"><table>'
        '<caption>Metrics that could not be measured</caption><thead><tr><th scope="col">metric</th>'
        '<th scope="col">reason</th><th scope="col" class="n">runs</th></tr></thead>'
        f"<tbody>{items}</tbody></table></div></details>"
    )


def _as_number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
