"""What people read: a table when a sweep ends, a section of the HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, StoreReader, TableBlock

# Settings and metrics are rows (run_id, name, value). Runs of other plugins have no `newplugin_items_s` and drop out.
_MEASURED = """
SELECT items.run_id, CAST(workers.number AS INTEGER) AS workers, items.value AS items_s, busy.value AS busy
FROM metrics items
JOIN metrics busy ON busy.run_id = items.run_id AND busy.name = 'newplugin_busy'
JOIN params workers ON workers.run_id = items.run_id AND workers.name = 'backend.workers'
WHERE items.name = 'newplugin_items_s' AND items.value IS NOT NULL AND list_contains(?, items.run_id)
ORDER BY workers, items.run_id
"""


def measured(store: StoreReader, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return run id, workers, items a second and busy share of those of the runs that are of this plugin."""
    rows: list[dict[str, Any]] = store.query(_MEASURED, [list(run_ids)]).to_pylist()
    return rows


def table(scope: ReportScope) -> Iterable[TableBlock]:
    """Yield one row a run; nothing for studies of other plugins."""
    rows = [(row["workers"], row["items_s"], row["busy"]) for row in measured(scope.store, scope.run_ids)]
    if rows:
        yield TableBlock("newplugin: workers", ("workers", "newplugin_items_s", "newplugin_busy"), rows)


def section(scope: ReportScope) -> Iterable[ReportSection]:
    """Yield a figure and the table. A figure is Plotly's JSON: nothing heavy is imported for it."""
    rows = measured(scope.store, scope.run_ids)
    if not rows:
        return
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "items/s",
        "x": [row["workers"] for row in rows],
        "y": [row["items_s"] for row in rows],
    }
    layout = {"xaxis": {"title": {"text": "workers"}}, "yaxis": {"title": {"text": "items/s"}}}
    spec = {"data": [line], "layout": layout}
    caption = "More items are better."
    figure = Figure("newplugin: items against workers", spec, caption, metrics=("newplugin_items_s",))
    yield ReportSection("newplugin", [figure, *table(scope)])
