"""Two runs, sweeps or experiments side by side: what was set, what came out, what is beyond noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from framework.contracts import TableBlock
from framework.store.database.reader import Store

_MOST_WORSE = 20
_SUMMARY = (
    *("metric", "unit", "points", "mean_a", "mean_b", "change"),
    *("better", "worse", "same", "different"),
)
_DETAIL = ("name", "point", "mean_a", "mean_b", "change", "noise", "noise_source")
_CAPTION = (
    "Means and median change from A to B over the points that both have. The noise of a point comes from its"
    " repeats, else from other repeats on the same system, else it is 4 %."
)


def compare_tables(store: Store, a: str, b: str) -> list[TableBlock]:
    """Return the tables of a comparison: settings, then metrics and what is worse (none without a common point).

    Raises:
        StoreError: no done run, sweep or experiment of a name.
    """
    columns, rows = store.rows("FROM compare(?, ?)", [a, b])
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    settings = [(row["name"], row["setting_a"], row["setting_b"]) for row in found if row["kind"] == "config"]
    measured = [row for row in found if row["kind"] == "metric"]
    tables = [TableBlock("configuration that differs", ("parameter", a, b), settings)]
    if not measured:
        return tables
    tables.append(TableBlock("metrics", _SUMMARY, _metric_summary(measured), _CAPTION))
    worse = [row for row in measured if row["verdict"] == "worse"]
    if worse:
        clearest = sorted(worse, key=lambda row: -abs(row["change"] or 0) / (row["noise"] or 1))[:_MOST_WORSE]
        lines = [[row[name] for name in _DETAIL] for row in clearest]
        more = len(worse) - len(clearest)
        caption = f"the clearest; {more} more: framework sql \"FROM compare('{a}', '{b}')\"" if more else ""
        tables.append(TableBlock(f"{b} is worse than {a} by more than noise", _DETAIL, lines, caption))
    return tables


def _metric_summary(measured: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return one row a metric, in order of first appearance."""
    names = dict.fromkeys(row["name"] for row in measured)
    summary = []
    for name in names:
        points = [row for row in measured if row["name"] == name]
        changes = [row["change"] for row in points if row["change"] is not None]
        verdicts = [row["verdict"] for row in points]
        means = [fmean(row[side] for row in points) for side in ("mean_a", "mean_b")]
        counts = [verdicts.count(verdict) for verdict in ("better", "worse", "same", "different")]
        change = median(changes) if changes else None
        summary.append((name, points[0]["unit"], len(points), *means, change, *counts))
    return summary
