"""Predictions against measurements: how far off, by method, and where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from framework.analysis.error_measures import summarise_errors
from framework.contracts import Figure, TableBlock
from framework.dashboard.address import Asked
from framework.dashboard.desk import Desk, Page
from framework.store.views.results_view import literal

_MOST_POINTS = 2000
# A prediction names a configuration; what was measured is the mean over the runs that have all of it.
_PAIRS = """
WITH asked AS (
    SELECT *, row_number() OVER () AS id FROM predictions
    WHERE target = ? AND (? = '' OR coalesce(experiment, '') = ?)),
named AS (
    SELECT id, name, json_extract_string(config, '$."' || name || '"') AS value
    FROM (SELECT id, config, unnest(json_keys(config)) AS name FROM asked)),
counted AS (SELECT id, count(*) AS names FROM named GROUP BY id),
found AS (
    SELECT n.id, p.run_id FROM named n
    JOIN params p ON p.name = n.name AND (p.value = n.value OR p.number = try_cast(n.value AS DOUBLE))
    JOIN counted c ON c.id = n.id GROUP BY n.id, p.run_id HAVING count(*) = any_value(c.names)),
measured AS (
    SELECT f.id, avg(m.value) AS value, any_value(f.run_id) AS run_id,
           bool_and(r.started_at > a.predicted_at) AS later
    FROM found f JOIN asked a USING (id) JOIN runs r ON r.run_id = f.run_id AND r.status = 'done'
    JOIN metrics m ON m.run_id = f.run_id AND m.name = a.target GROUP BY f.id)
SELECT a.method, a.predicted, a.low, a.high, coalesce(a.measured, m.value) AS measured, m.run_id, m.later
FROM asked a LEFT JOIN measured m USING (id) ORDER BY a.predicted_at DESC, a.id
"""


def page(desk: Desk, asked: Asked) -> Page:
    """Return the page for a `target`, of all experiments or one."""
    query = "SELECT target, count(*) AS n FROM predictions GROUP BY target ORDER BY n DESC, target"
    targets = desk.kept("targets", lambda: desk.store.query(query)["target"].to_pylist())
    target = asked.text("target", targets[0] if targets else "")
    experiment = asked.text("experiment")
    if target:
        desk.check_known("prediction of", target, targets)
    content: dict[str, Any] = {
        "target": target, "targets": targets, "experiment": experiment, "experiments": desk.names("experiment"),
        "figure": None, "table": None,
    }  # fmt: skip
    if target:
        content |= desk.kept(("predictions", target, experiment), lambda: _compared(desk, target, experiment))
    return Page("Predictions against measurements", "predictions.html", content, "Predictions")


def _compared(desk: Desk, target: str, experiment: str) -> dict[str, Any]:
    rows = desk.store.query(_PAIRS, [target, experiment, experiment]).to_pylist()
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["method"] or "unnamed"].append(row)
    return {
        "table": _errors(target, groups),
        "figure": _figure(target, groups) if any(_known(items) for items in groups.values()) else None,
    }


def _known(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["predicted"] is not None and row["measured"] is not None]


def _errors(target: str, groups: dict[str, list[dict[str, Any]]]) -> TableBlock:
    def column(rows: Sequence[dict[str, Any]], name: str) -> list[float]:
        return [float("nan") if row[name] is None else row[name] for row in rows]

    lines = []
    for method, rows in groups.items():
        found = summarise_errors(column(rows, "predicted"), column(rows, "measured"))
        known_rows = _known(rows)
        known = [row for row in known_rows if row["low"] is not None and row["high"] is not None]
        inside = sum(row["low"] <= row["measured"] <= row["high"] for row in known)
        covered = 100 * inside / len(known) if known else None
        lines.append(
            (method, found.count, found.median_ape, found.p90_ape, found.mape, found.bias, covered,
             sum(bool(row["later"]) for row in known_rows), found.without_measurement)
        )  # fmt: skip
    columns = (
        *("method", "compared", "median error (%)", "p90 error (%)", "mean error (%)", "bias (%)"),
        *("measured within the band (%)", "measured afterwards", "without measurement"),
    )
    caption = "A prediction of what had been measured already may have learned from it: it says little."
    return TableBlock(f"Errors of the predictions of {target}", columns, lines, caption)


def _figure(target: str, groups: dict[str, list[dict[str, Any]]]) -> Figure:
    data: list[dict[str, Any]] = []
    values: list[float] = []
    total = 0
    for method, rows in groups.items():
        known = _known(rows)
        total += len(known)
        shown = known[:_MOST_POINTS]
        values += [row[name] for row in shown for name in ("predicted", "measured")]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": method, "marker": {"size": 7, "opacity": 0.7},
                "x": [row["measured"] for row in shown], "y": [row["predicted"] for row in shown],
                "text": [row["run_id"] or "" for row in shown],
                "hovertemplate": "%{text}<br>measured %{x:.4g}<br>predicted %{y:.4g}<extra></extra>",
            }
        )  # fmt: skip
    ends = [min(values), max(values)]
    data.append(
        {
            "type": "scatter", "mode": "lines", "name": "equal", "x": ends, "y": ends,
            "line": {"dash": "dot", "color": "#7f7f7f"},
        }
    )  # fmt: skip
    kind = "log" if ends[0] > 0 and ends[1] > 20 * ends[0] else "linear"
    layout = {
        "xaxis": {"title": {"text": f"measured {target}"}, "type": kind},
        "yaxis": {"title": {"text": f"predicted {target}"}, "type": kind},
        "height": 520,
    }
    caption = f"Each point is a run (n = {total:,}); on the dotted line the two are equal."
    if any(len(_known(rows)) > _MOST_POINTS for rows in groups.values()):
        caption += f" The latest {_MOST_POINTS:,} of each method are drawn."
    spec = {"data": data, "layout": layout}
    sql = f"FROM predictions WHERE target = {literal(target)}"
    band = "How many are within their band is in the table."
    return Figure(f"{target}: predicted against measured", spec, caption, sql=sql, band=band)
