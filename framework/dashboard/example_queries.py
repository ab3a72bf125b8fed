"""Queries to begin with on the SQL page; each works on any store."""

from __future__ import annotations

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("Latest results", "SELECT * FROM latest ORDER BY started_at DESC LIMIT 50"),
    (
        "Runs by experiment and state",
        "SELECT experiment, status, count(*) AS runs, max(started_at) AS latest\n"
        "FROM runs GROUP BY ALL ORDER BY latest DESC",
    ),
    (
        "What failed, and why",
        "SELECT run_id, stage, kind, message FROM failures ORDER BY started_at DESC LIMIT 100",
    ),
    (
        "Checks that did not pass",
        "SELECT r.experiment, c.name, c.verdict, count(*) AS runs, any_value(c.detail) AS example\n"
        "FROM checks c JOIN runs r USING (run_id) WHERE c.verdict <> 'pass' GROUP BY ALL ORDER BY runs DESC",
    ),
    (
        "Spread between repeats",
        "SELECT backend, model, gpu, metric, degrees, relative_sd\n"
        "FROM reference_bands ORDER BY relative_sd DESC LIMIT 100",
    ),
    (
        "What was recommended",
        "SELECT subject, advisor, overrides, metric, predicted, low, high, reason\n"
        "FROM advice ORDER BY advised_at DESC",
    ),
    (
        "What could not be measured",
        "SELECT name, reason, count(*) AS runs FROM metrics WHERE value IS NULL GROUP BY ALL ORDER BY runs DESC",
    ),
    (
        "What each metric means",
        "SELECT name, unit, better, description FROM metric_definitions ORDER BY name",
    ),
    (
        "Tables, views and columns",
        "SELECT table_name, column_name, data_type FROM information_schema.columns\n"
        "WHERE table_catalog = 'store' ORDER BY ALL",
    ),
)
"""Name → query."""
