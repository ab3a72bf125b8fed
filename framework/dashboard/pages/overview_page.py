"""What the store holds: experiments, the latest advice."""

from __future__ import annotations

from framework.dashboard.address import Asked
from framework.dashboard.desk import Desk, Page
from framework.store.database.reader import runs_not_ingested

_EXPERIMENTS = """
SELECT experiment, count(*) AS runs, count(*) FILTER (status = 'done') AS done,
       count(*) FILTER (status IN ('failed', 'stale')) AS failed, count(*) FILTER (status = 'running') AS running,
       list(DISTINCT backend ORDER BY backend) AS backends, max(started_at) AS latest
FROM runs GROUP BY experiment ORDER BY latest DESC LIMIT 200
"""
_ADVICE = """
SELECT experiment, advisor, subject, overrides, reason FROM advice
QUALIFY advised_at = max(advised_at) OVER (PARTITION BY experiment, advisor, subject)
ORDER BY advised_at DESC, advisor, subject LIMIT 12
"""


def page(desk: Desk, asked: Asked) -> Page:
    """Return the first page."""
    experiments = desk.kept("experiments", lambda: desk.store.query(_EXPERIMENTS).to_pylist())
    content = {
        "outputs": str(desk.outputs),
        "runs": sum(row["runs"] for row in experiments),
        "latest": experiments[0]["latest"] if experiments else None,
        "waiting": runs_not_ingested(desk.outputs),
        "experiments": experiments,
        "advice": desk.kept("advice", lambda: desk.store.query(_ADVICE).to_pylist()),
    }
    return Page("Overview", "overview.html", content, "Overview")
