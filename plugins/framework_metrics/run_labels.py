"""What to call the runs of a report in tables and legends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.contracts import ReportScope

_FILES = ("nsight.file", "series.name")
"""Parameters that name what an imported run was read from."""


def run_labels(scope: ReportScope) -> dict[str, str]:
    """Return what a run's sweep varied, or the file it was imported from, by run id; no entry for other runs."""
    rows = scope.store.query(
        "SELECT p.run_id, string_agg(CASE WHEN p.name IN (SELECT unnest(?)) THEN p.value "
        "ELSE regexp_extract(p.name, '[^.]*$') || ' ' || p.value END, ', ' ORDER BY p.name) AS label FROM params p "
        "WHERE p.run_id IN (SELECT unnest(?)) AND p.value IS NOT NULL AND (p.name IN (SELECT unnest(?)) "
        "OR (p.run_id, p.name) IN (SELECT (run_id, name) FROM varied)) GROUP BY p.run_id",
        [list(_FILES), list(scope.run_ids), list(_FILES)],
    ).to_pylist()
    return {row["run_id"]: row["label"] for row in rows}
