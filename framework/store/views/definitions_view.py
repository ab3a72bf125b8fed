"""Metrics that were derived by different code: which columns mix definitions, of how many runs, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.store.database.reader import Store

UNKNOWN = "unknown"
"""Definition of metrics from before derivations were marked."""

# What backends, collectors and importers report has no definition here: it is theirs.
DEFINITIONS = f"""
CREATE OR REPLACE VIEW definitions AS
WITH defined AS (
    SELECT m.run_id, m.name AS metric,
           CASE WHEN m.derivation IS NOT NULL THEN m.derivation
                WHEN r.derivation_hash IS NULL AND coalesce(r.code_version, '') <> '' THEN '{UNKNOWN}'
           END AS definition
    FROM metrics m JOIN runs r USING (run_id) WHERE r.status = 'done' AND m.value IS NOT NULL)
SELECT run_id, metric, definition FROM defined WHERE definition IS NOT NULL
"""

_MIXED = """
WITH mine AS (FROM definitions {where}),
mixed AS (
    SELECT metric FROM mine GROUP BY metric
    HAVING count(DISTINCT definition) > 1 AND count(DISTINCT definition) FILTER (definition <> '{unknown}') > 0)
"""
_SHOWN_METRICS = 3


def mixed_metrics_sql(where: str = "") -> str:
    """Return the common table expressions `mine` and `mixed` (metrics with several definitions) for a query."""
    return _MIXED.format(where=where, unknown=UNKNOWN)


def mixed_definitions(store: Store, run_ids: Sequence[str] | None = None) -> str | None:
    """Return one line on metrics that are not defined alike in all runs and on the command that mends it, else None.

    Args:
        store: the store of an outputs folder.
        run_ids: runs to look at; all done runs if None.
    """
    column = "SELECT 1 FROM duckdb_columns() WHERE table_name = 'results_wide' AND column_name = 'definition'"
    if not store.rows(column)[1]:  # one look instead of all metrics
        return None
    where = "" if run_ids is None else "WHERE run_id IN (SELECT unnest(?::VARCHAR[]))"
    _, found = store.rows(
        mixed_metrics_sql(where) + "SELECT definition, count(DISTINCT run_id) AS runs, list(DISTINCT metric)"
        " FROM mine SEMI JOIN mixed USING (metric) GROUP BY definition ORDER BY runs DESC, definition",
        [] if run_ids is None else [list(run_ids)],
    )
    if not found:
        return None
    metrics = sorted({metric for *_, named in found for metric in named})
    more = f" and {len(metrics) - _SHOWN_METRICS} more" if len(metrics) > _SHOWN_METRICS else ""
    counts = ", ".join(f"{name} in {runs} {'run' if runs == 1 else 'runs'}" for name, runs, _ in found)
    folder = "" if str(store.outputs) == "outputs" else f" --outputs {store.outputs}"
    return (
        f"{len(found)} definitions of {', '.join(metrics[:_SHOWN_METRICS])}{more} are mixed: {counts}; "
        f"`python -m framework derive{folder}` derives them all by the present one"
    )
