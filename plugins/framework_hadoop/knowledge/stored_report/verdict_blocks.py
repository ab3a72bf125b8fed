"""Outliers among recorded executions: where they are, and on how many neighbours a verdict stands."""

from __future__ import annotations

from collections import Counter
from typing import Any

from framework.contracts import Figure, TableBlock
from framework.store.views.results_view import literal
from framework_hadoop.executions.effectiveness import Query

_MOST_ROWS, _MOST_POINTS = 50, 2000
_VERDICTS = ("outlier", "warning", "failed")


def blocks(query: Query, experiment: str) -> list[Figure | TableBlock | str]:
    """Return the latest verdicts of an experiment; how to get them if nobody judged yet."""
    sql = (
        "SELECT o.verdict, e.benchmark, e.cluster, e.exe_time_s, o.expected_s, o.time_ratio, o.neighbours, e.run_id "
        f"FROM outliers o JOIN executions e USING (run_id) WHERE e.experiment = {literal(experiment)} "
        "AND o.expected_s > 0 ORDER BY abs(ln(o.time_ratio)) DESC, e.run_id"
    )
    rows = query(sql, [])
    if not rows:
        return ["These executions were not judged yet: python -m framework executions outliers"]
    judged = [row for row in rows if row[0] in _VERDICTS]
    usual = [row for row in rows if row[0] not in _VERDICTS]
    drawn = usual[:: max(1, len(usual) // _MOST_POINTS)]
    grey = {"size": 4, "color": "rgba(128,128,128,0.35)"}
    data = [_points("as expected", drawn, grey)]
    for verdict in _VERDICTS:
        own = [row for row in judged if row[0] == verdict]
        if own:
            data.append(_points(verdict, own, {"size": 7}))
    reach = [min(row[4] for row in rows), max(row[4] for row in rows)]
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "equal",
            "x": reach,
            "y": reach,
            "line": {"width": 1, "color": "#7F7F7F"},
        }
    )
    layout = {
        "height": 460,
        "xaxis": {"title": {"text": "expected time in s"}, "type": "log"},
        "yaxis": {"title": {"text": "measured time in s"}, "type": "log"},
    }
    counts = Counter(row[0] for row in judged)
    single = sum(row[0] == "outlier" and row[6] == 1 for row in judged)
    caption = (
        "Expected by models that never saw the execution. "
        + ", ".join(f"{counts[verdict]} {verdict}" for verdict in _VERDICTS)
        + f" of {len(rows)}. {single} of the outliers stand on a single neighbour."
    )
    table = TableBlock(
        "Largest deviations",
        ("verdict", "benchmark", "cluster", "time_s", "expected_s", "time_ratio", "neighbours", "run_id"),
        judged[:_MOST_ROWS],
        "Executions with a verdict are not in cost, best configurations and effects.",
    )
    return [Figure("Outliers", {"data": data, "layout": layout}, caption, sql=sql), table]


def _points(name: str, rows: list[tuple[Any, ...]] | Any, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [row[4] for row in rows],
        "y": [row[3] for row in rows],
        "text": [f"{row[1]} on {row[2]}, × {row[5]:.2f}, {row[6]} neighbours" for row in rows],
        "marker": marker,
    }
