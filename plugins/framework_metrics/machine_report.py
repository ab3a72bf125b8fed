"""Section "The machine": what collectors measured of each run, and power and clocks over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Figure, ReportSection, TableBlock
from framework_metrics.run_labels import run_labels

if TYPE_CHECKING:
    from framework.contracts import ReportScope

MAX_RUNS = 8
"""Runs drawn over time; the table holds all."""

POINTS = 400
"""Points a curve: more samples are averaged."""

COLUMNS = (
    ("power_mean_w", "power W", ".0f"),
    ("energy_j", "energy J", ",.0f"),
    ("energy_j_per_token", "J/token", ".3g"),
    ("gpu_util_mean_pct", "busy %", ".0f"),
    ("gpu_sm_active_mean_pct", "SM active %", ".0f"),
    ("gpu_dram_active_mean_pct", "DRAM %", ".0f"),
    ("gpu_sm_clock_mean_mhz", "SM MHz", ".0f"),
    ("gpu_temperature_max_c", "max °C", ".0f"),
    ("gpu_memory_used_peak_gib", "memory GiB", ".1f"),
    ("run_cpu_mean_cores", "CPU cores", ".2f"),
)
"""(metric, heading, format); a column that no run has is left out."""

LEAD_S = 10.0
"""Of the time before the first arrival, how much is drawn."""

SERIES = (
    ("gpu_power_w", "Power over time", "power of the run's GPUs (W)"),
    ("gpu_sm_clock_mhz", "SM clock over time", "SM clock (MHz)"),
)

_MEASURED = """
    source NOT LIKE '%power model%' AND run_id IN (
        SELECT run_id FROM checks WHERE name IN ('energy_window', 'gpu_clocks')
        UNION SELECT run_id FROM metrics WHERE name = 'run_cpu_s' AND value IS NOT NULL
    )
"""
"""What a collector measured: of runs that had one, and no model's word."""


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section on measured runs; none where no collector measured anything."""
    labels = run_labels(scope)
    values = _values(scope)
    if not values:
        return []
    blocks: list[Figure | TableBlock | str] = [_table(values, labels, _remarks(scope))]
    for series, title, axis in SERIES:
        curves = _curves(scope, series)
        if curves:
            blocks.append(_figure(curves, labels, title, axis, series))
    return [ReportSection("The machine", blocks, order=35)]


def _values(scope: ReportScope) -> dict[str, dict[str, float]]:
    """Return the measured metrics by run; predictions of a model are not among them."""
    rows = scope.store.query(
        f"SELECT run_id, name, value FROM metrics WHERE run_id IN (SELECT unnest(?)) AND value IS NOT NULL "
        f"AND name IN (SELECT unnest(?)) AND {_MEASURED} ORDER BY run_id",
        [list(scope.run_ids), [name for name, _, _ in COLUMNS]],
    ).to_pylist()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["run_id"], {})[row["name"]] = row["value"]
    return found


def _remarks(scope: ReportScope) -> dict[str, str]:
    """Return what the machine's sanity checks remarked, by run."""
    rows = scope.store.query(
        "SELECT run_id, string_agg(detail, '; ' ORDER BY name) AS remark FROM checks "
        "WHERE run_id IN (SELECT unnest(?)) AND verdict <> 'pass' "
        "AND (name LIKE 'gpu_%' OR name LIKE 'energy_%' OR name LIKE '%_sampler') GROUP BY run_id",
        [list(scope.run_ids)],
    ).to_pylist()
    return {row["run_id"]: row["remark"] for row in rows}


def _table(
    values: Mapping[str, Mapping[str, float]], labels: Mapping[str, str], remarks: Mapping[str, str]
) -> TableBlock:
    shown = [column for column in COLUMNS if any(column[0] in metrics for metrics in values.values())]
    headings = ["run", *(heading for _, heading, _ in shown), *(["remarks"] if remarks else [])]
    rows = [
        [
            labels.get(run_id, run_id),
            *(format(metrics[name], form) if name in metrics else "–" for name, _, form in shown),
            *([remarks.get(run_id, "")] if remarks else []),
        ]
        for run_id, metrics in values.items()
    ]
    caption = (
        "Means over the run, from its collectors. A dash was not measured; the metric's "
        "`reason` gives the cause."
    )
    return TableBlock("Measured values of each run", headings, rows, caption)


def _curves(scope: ReportScope, series: str) -> dict[str, tuple[list[float], list[float]]]:
    """Return (times, values) by run, at most `POINTS` each and `MAX_RUNS` of them."""
    rows = scope.store.query(
        """
        WITH own AS (
            SELECT run_id, t_s, value, dense_rank() OVER (ORDER BY run_id) AS place,
                   (max(t_s) OVER (PARTITION BY run_id) - min(t_s) OVER (PARTITION BY run_id)) / ? AS width
            FROM samples WHERE name = ? AND run_id IN (SELECT unnest(?)) AND value IS NOT NULL
              AND t_s >= ?
        )
        SELECT run_id, avg(t_s) AS t_s, avg(value) AS value FROM own WHERE place <= ?
        GROUP BY run_id, CASE WHEN width > 0 THEN floor(t_s / width) ELSE 0 END ORDER BY run_id, t_s
        """,
        [POINTS, series, list(scope.run_ids), -LEAD_S, MAX_RUNS],
    ).to_pylist()
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        times, values = found.setdefault(row["run_id"], ([], []))
        times.append(round(row["t_s"], 3))
        values.append(round(row["value"], 2))
    return found


def _figure(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    labels: Mapping[str, str],
    title: str,
    axis: str,
    series: str,
) -> Figure:
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": labels.get(run_id, run_id),
            "x": list(times),
            "y": list(values),
            "line": {"width": 1.5},
        }
        for run_id, (times, values) in curves.items()
    ]
    layout: dict[str, Any] = {
        "height": 380,
        "showlegend": True,
        "xaxis": {"title": {"text": "time from the first arrival (s)"}, "automargin": True},
        "yaxis": {"title": {"text": axis}, "rangemode": "tozero", "automargin": True},
    }
    notes = []
    if any(times[0] < 0 for times, _ in curves.values()):
        notes.append("Before 0, the engine starts and loads the model.")
    if len(curves) == MAX_RUNS:
        notes.append(f"The first {MAX_RUNS} runs that were sampled.")
    runs = ", ".join(f"'{run_id}'" for run_id in curves)
    return Figure(
        title,
        {"data": traces, "layout": layout},
        " ".join(notes),
        sql=f"SELECT run_id, t_s, value FROM samples WHERE name = '{series}' AND run_id IN ({runs})",
    )
