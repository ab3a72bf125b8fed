"""One serving run for the dashboard: how its requests' latencies are distributed, and what each adapter got."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.analysis.number_format import format_value
from framework.contracts import Figure, ReportSection, TableBlock
from framework_serving.metrics.request_times import RequestTimes
from framework_serving.metrics.shared_rules import STARVED_BELOW

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from framework.contracts import ReportScope

_POINTS = 200
_MOST_ADAPTERS = 200
_LATENCIES = (
    ("time to first token", "ttft_s", 1e3, "ms"),
    ("time per output token after the first", "tpot_s", 1e3, "ms"),
    ("whole request", "e2e_s", 1.0, "s"),
)


def sections_of_run(scope: ReportScope) -> Iterator[ReportSection]:
    """Yield the sections of the scope's only run; none for a run without requests."""
    run_id = scope.run_ids[0]
    there = scope.store.query("SELECT 1 FROM duckdb_tables() WHERE table_name = 'requests'")
    if there.num_rows == 0:
        return
    table = scope.store.query("SELECT * EXCLUDE (run_id) FROM requests WHERE run_id = ?", [run_id])
    if table.num_rows == 0:
        return
    times = RequestTimes.of(table)
    served = times.served()
    figures: list[Figure | TableBlock | str] = [
        _distribution(title, factor * getattr(served, name), unit, run_id)
        for title, name, factor, unit in _LATENCIES
        if len(served.arrival_s)
    ]
    left = len(times.arrival_s) - len(served.arrival_s)
    said = f"{len(served.arrival_s):,} requests were finished" + (f", {left:,} were not." if left else ".")
    yield ReportSection("Latencies", [said, *figures], order=10)
    if adapters := _adapters(scope, run_id):
        yield ReportSection("Adapters", [adapters], order=20)


def _distribution(title: str, values: npt.NDArray[np.float64], unit: str, run_id: str) -> Figure:
    """Return the share of requests below each latency, with the percentiles that the metrics give marked."""
    import numpy as np

    known = np.sort(values[np.isfinite(values)])
    places = np.unique(np.linspace(0, max(len(known) - 1, 0), min(_POINTS, len(known))).astype(int))
    marks = [p for p in (50, 90, 95, 99) if len(known)]
    at = [float(np.percentile(known, p)) for p in marks]
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "lines", "name": "requests", "x": known[places],
        "y": 100.0 * (places + 1) / max(len(known), 1), "line": {"shape": "hv"}, "showlegend": False,
    }  # fmt: skip
    percentiles = {
        "type": "scatter", "mode": "markers", "name": "percentiles", "x": at, "y": marks, "showlegend": False,
        "text": [f"p{p}" for p in marks], "hovertemplate": "%{text}: %{x:.4g}<extra></extra>",
    }  # fmt: skip
    log = len(known) > 1 and known[0] > 0 and known[-1] > 50 * known[0]
    layout = {
        "xaxis": {"title": {"text": f"{title} ({unit})"}, "type": "log" if log else "linear"},
        "yaxis": {"title": {"text": "requests (%)"}, "range": [0, 102]},
        "height": 320,
    }
    said = ", ".join(f"p{p} {format_value(value)}" for p, value in zip(marks, at, strict=True))
    caption = f"Share of finished requests that took at most so long (n = {len(known):,}; {unit}: {said})."
    return Figure(
        title[0].upper() + title[1:],
        {"data": [trace, percentiles], "layout": layout},
        caption,
        sql=f"SELECT * FROM requests WHERE run_id = '{run_id}'",
    )


def _adapters(scope: ReportScope, run_id: str) -> TableBlock | None:
    columns = (
        *("adapter_id", "sent", "completed", "served_share", "ttft_mean_ms", "ttft_p99_ms", "total_tok_s"),
        "starved",
    )
    rows = scope.store.query(
        f"SELECT {', '.join(columns)} FROM adapter_stats WHERE run_id = ? ORDER BY adapter_id NULLS FIRST",
        [run_id],
    ).to_pylist()
    if len(rows) < 2:
        return None
    shown = [
        tuple("base model" if name == "adapter_id" and row[name] is None else row[name] for name in columns)
        for row in rows[:_MOST_ADAPTERS]
    ]
    caption = f"Starved: fewer than {STARVED_BELOW:g} of its requests were served."
    if len(rows) > len(shown):
        caption += f" The first {len(shown)} of {len(rows)} are listed."
    return TableBlock("What each adapter got", columns, shown, caption)
