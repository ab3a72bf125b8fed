"""The views and macros that people query, in addition to `results`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from framework.contracts import MetricDefinition
from framework.errors import StoreError, one_line
from framework.plugins import PluginProblem, ask, discover, metric_definitions
from framework.store.bundles.record_json import checksum
from framework.store.database.run_rows import as_table
from framework.store.database.schema import METRIC_DEFINITIONS, RESERVED_NAMES
from framework.store.views.compare_macro import COMPARISON_VIEWS, add_student_t
from framework.store.views.definitions_view import DEFINITIONS
from framework.store.views.front_macro import FRONT_MACROS
from framework.store.views.label_views import LABEL_VIEWS
from framework.store.views.results_view import build_results
from framework.store.views.setting_macros import SETTING_MACROS

if TYPE_CHECKING:
    import duckdb

FAILURES = """
CREATE OR REPLACE VIEW failures AS
SELECT run_id, experiment, sweep_id, sweep_index, backend, model, gpu, status,
       failure_stage AS stage, failure_kind AS kind,
       CASE WHEN status = 'stale' THEN 'no sign of life since ' || strftime(heartbeat_at, '%Y-%m-%d %H:%M:%S UTC')
            ELSE failure_message END AS message,
       started_at, finished_at, host, failure_log AS log,
       run_key NOT IN (SELECT d.run_key FROM runs d WHERE d.status = 'done' AND d.run_key IS NOT NULL)
       AND coalesce(job_key, '') NOT IN (
           SELECT d.job_key FROM runs d WHERE d.status = 'done' AND d.job_key IS NOT NULL) AS still_open
FROM runs WHERE status IN ('failed', 'stale') AND run_id NOT IN (FROM archived) ORDER BY started_at, run_id
"""

LATEST = """
CREATE OR REPLACE VIEW latest AS
SELECT * FROM results
WHERE run_id IN (
    SELECT run_id FROM runs WHERE status = 'done'
    QUALIFY row_number() OVER (PARTITION BY run_key, repeat ORDER BY started_at DESC, run_id DESC) = 1)
"""

# Sign of a metric on an axis on which more is better; unknown names and undirected metrics end the query.
METRIC_SIGN = """
CREATE OR REPLACE MACRO metric_sign(metric, better) AS (
    SELECT CASE
        WHEN NOT EXISTS (FROM metrics WHERE metrics.name = metric) THEN error(
            'no run has a metric ''' || metric || '''' || coalesce(' (did you mean ''' || (
                SELECT arg_max(name, jaro_winkler_similarity(name, metric))
                FROM (SELECT DISTINCT name FROM metrics)) || '''?)', ''))::INTEGER
        WHEN direction = 'higher' THEN 1
        WHEN direction = 'lower' THEN -1
        ELSE error('metric ''' || metric || ''' has no better direction; say higher or lower: '
                   || 'pareto(x, y, x_better := ''lower'', y_better := ''higher'')')::INTEGER
    END
    FROM (SELECT coalesce(better, (
        SELECT d.better FROM metric_definitions d WHERE d.name = metric)) AS direction))
"""

PARETO = """
CREATE OR REPLACE MACRO pareto(metric_x, metric_y, experiment := NULL, backend := NULL, model := NULL,
                               gpu := NULL, x_better := NULL, y_better := NULL) AS TABLE
WITH axes AS MATERIALIZED (
    SELECT metric_sign(metric_x, x_better) AS sign_x, metric_sign(metric_y, y_better) AS sign_y),
points AS (
    SELECT r.run_id, axes.sign_x * x.value AS gain_x, axes.sign_y * y.value AS gain_y
    FROM runs r, axes
    JOIN metrics x ON x.run_id = r.run_id AND x.name = metric_x AND x.value IS NOT NULL
    JOIN metrics y ON y.run_id = r.run_id AND y.name = metric_y AND y.value IS NOT NULL
    WHERE r.status = 'done' AND r.sanity IS DISTINCT FROM 'fail'
      AND r.experiment = coalesce(experiment, r.experiment) AND r.backend = coalesce(backend, r.backend)
      AND (model IS NULL OR r.model = model) AND (gpu IS NULL OR r.gpu = gpu))
SELECT * EXCLUDE (gain_x) FROM (
    SELECT w.*, p.gain_x FROM points p JOIN results w USING (run_id)
    JOIN front_of((
        SELECT list({'kind': 0, 'id': run_id, 'worst': [gain_x, gain_y], 'best': [gain_x, gain_y]}) FROM points
    )) f ON f.id = p.run_id
    UNION ALL  -- no row, but it makes DuckDB look at both names even when one has no value
    SELECT w.*, NULL FROM axes LEFT JOIN results w ON false WHERE axes.sign_x * axes.sign_y = 0)
ORDER BY gain_x DESC, run_id
"""


OWN_VIEWS = (
    *LABEL_VIEWS,
    DEFINITIONS,
    FAILURES,
    METRIC_SIGN,
    LATEST,
    *FRONT_MACROS,
    PARETO,
    *COMPARISON_VIEWS,
    *SETTING_MACROS,
)


_MAKES_VIEW = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*CREATE\s+(?:OR\s+REPLACE\s+)?(?:VIEW|MACRO|FUNCTION)\s+\"?(\w+)",
    re.IGNORECASE | re.DOTALL,
)


def _made_by(statement: str) -> str | None:
    """Return the name of the view or macro that a statement makes; None if it makes none."""
    found = _MAKES_VIEW.match(statement)
    return found[1].lower() if found else None


@dataclass(frozen=True)
class ViewSources:
    """What plugins say about the store: views over its tables, whose each is, and what metrics mean."""

    statements: tuple[str, ...]
    definitions: tuple[MetricDefinition, ...]
    owners: Mapping[str, str] = field(default_factory=dict)

    @property
    def checksum(self) -> str:
        """Changes when the views would."""
        return checksum([list(OWN_VIEWS), list(self.statements), [vars(item) for item in self.definitions]])


def plugin_views() -> ViewSources:
    """Return what all plugins say."""
    owners = {item: plugin for plugin, items in reversed(list(ask("sql_views", str))) for item in items}
    return ViewSources(tuple(owners), tuple(metric_definitions().values()), owners)


def build_views(connection: duckdb.DuckDBPyConnection, sources: ViewSources) -> list[str]:
    """Create all views and macros again; return one line for each statement of a plugin that was refused.

    A statement that is more than one view or macro is refused, and one whose name is taken.
    """
    import duckdb

    connection.execute("BEGIN")  # one flush to the disk, not one for each statement
    definitions = [vars(item) for item in sources.definitions]
    connection.register("definitions", as_table(definitions, METRIC_DEFINITIONS))
    connection.execute("DELETE FROM metric_definitions")
    connection.execute("INSERT INTO metric_definitions FROM definitions")
    connection.unregister("definitions")
    connection.execute(DEFINITIONS)
    for statement in LABEL_VIEWS:
        connection.execute(statement)
    build_results(connection)
    add_student_t(connection)
    for statement in OWN_VIEWS:
        connection.execute(statement)
    connection.execute("COMMIT")
    refused = []
    makers = dict.fromkeys([*RESERVED_NAMES, *filter(None, map(_made_by, OWN_VIEWS))], "the store")
    for statement in sources.statements:
        owner = sources.owners.get(statement, "?")
        try:
            name = _made_by(statement)
            if name is None or len(connection.extract_statements(statement)) != 1:
                raise StoreError("is not one CREATE OR REPLACE VIEW or MACRO")
            if makers.setdefault(name, f"plugin '{owner}'") != f"plugin '{owner}'":
                raise StoreError(f"'{name}' is that of {makers[name]} already")
            connection.execute(statement)
        except (duckdb.Error, StoreError) as error:
            head = " ".join(statement.split())[:60]
            problem = PluginProblem(f"view of plugin '{owner}' left out ({head} …)", one_line(error))
            discover().note(problem)
            refused.append(str(problem))
    return refused
