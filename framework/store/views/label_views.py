"""Views over what people say of runs: the tags that a run has now, and the runs that are put aside."""

from __future__ import annotations

LABEL_VIEWS = (
    """
CREATE OR REPLACE VIEW tags AS
SELECT run_id, value AS tag FROM labels WHERE kind IN ('tag', 'untag')
GROUP BY run_id, value HAVING arg_max(kind, (labelled_at, label_set)) = 'tag'
""",
    """
CREATE OR REPLACE VIEW archived AS
SELECT run_id FROM labels WHERE kind = 'archived'
GROUP BY run_id HAVING arg_max(value, (labelled_at, label_set)) = 'true'
""",
)

RENAME_RUNS = """
UPDATE runs SET experiment = l.value FROM (
    SELECT run_id, arg_max(value, (labelled_at, label_set)) AS value FROM labels WHERE kind = 'experiment'
    GROUP BY run_id) l
WHERE runs.run_id = l.run_id AND runs.experiment IS DISTINCT FROM l.value
"""
