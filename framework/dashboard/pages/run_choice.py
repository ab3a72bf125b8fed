"""The runs that a page computes over: those of an experiment, sweep or run, or all; the latest if there are many."""

from __future__ import annotations

from collections.abc import Sequence

from framework.analysis.objectives import check_names
from framework.dashboard.desk import Desk
from framework.store.views.results_view import literal

MOST_RUNS = 2000

_RUNS = """
SELECT m.run_id, m.value FROM metrics m JOIN runs r USING (run_id)
WHERE m.name = ? AND m.value IS NOT NULL AND r.status = 'done' AND coalesce(r.sanity, '') <> 'fail'
      AND (len(?::VARCHAR[]) = 0 OR list_has_any(?::VARCHAR[], [r.run_id, r.sweep_id, r.experiment]))
ORDER BY r.started_at DESC, m.run_id LIMIT {most}
"""


def condition(names: Sequence[str]) -> str:
    """Return the same choice as a condition on `runs`."""
    own = f" AND list_has_any([run_id, sweep_id, experiment], [{', '.join(map(literal, names))}])"
    return "status = 'done' AND coalesce(sanity, '') <> 'fail'" + (own if names else "")


def measured(desk: Desk, metric: str, names: Sequence[str]) -> dict[str, float]:
    """Return run → value of a metric, of the latest `MOST_RUNS` runs; raises `UserError` for an unknown name."""
    check_names(desk.store, names)
    rows = desk.store.query(_RUNS.format(most=MOST_RUNS), [metric, list(names), list(names)]).to_pylist()
    return {row["run_id"]: row["value"] for row in rows}
