"""Executions in SQL: which to trust, what they cost, and what a setting does, over the store or over a file.

The verbs `executions cost` and `executions knowledge` run these same statements over a file (`execution_database`),
so a figure on the terminal and one from `sql` are made by one piece of code.

Intervals (90 %) of a configuration's median time: median · exp(± 1.645 s c / √repeats), with s the deviation of log
time among its own repeats or the typical one of its benchmark, whichever is larger, so that a lucky pair of repeats
looks no surer than pairs usually are; c = 1 for one or two repeats, 1.2533 = √(π/2) beyond, the ratio of a median's
deviation to a mean's. Intervals of effects are order statistics: the median of n ratios is between those of ranks
n/2 ∓ 0.8225 √n in 90 % of cases, whatever their distribution. Fewer than five ratios have no such interval (that of
the least and the largest of four holds the median in 88 % of cases, of two in half of them): it is absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.store.views.front_macro import FRONT_MACROS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import numpy as np

    from framework_hadoop.executions.effectiveness import Query
    from framework_hadoop.executions.execution_table import Executions

OUTLIERS_VIEW = """
CREATE OR REPLACE VIEW outliers AS
SELECT v.judged_run_id AS run_id, v.verdict, v.expected_s, v.time_ratio, v.deviation, v.neighbours,
       v.run_id AS judged_by
FROM execution_verdicts v JOIN runs r USING (run_id)
QUALIFY row_number() OVER (PARTITION BY v.judged_run_id ORDER BY r.started_at DESC, v.run_id DESC) = 1
"""
"""The latest verdict on each execution that was judged (`executions outliers` without a file)."""

EXECUTIONS_VIEW = """
CREATE OR REPLACE VIEW executions AS
SELECT r.run_id, r.experiment, b.value AS benchmark, c.value AS cluster, r.config_key AS configuration,
       t.value AS exe_time_s, u.value AS cost_usd, l.value AS cost_leaves_out,
       o.verdict, coalesce(o.verdict, 'ok') = 'ok' AS trusted
FROM runs r
JOIN metrics t ON t.run_id = r.run_id AND t.name = 'exe_time_s' AND t.value > 0
LEFT JOIN metrics u ON u.run_id = r.run_id AND u.name = 'cost_usd'
LEFT JOIN params b ON b.run_id = r.run_id AND b.name = 'workload.benchmark'
LEFT JOIN params c ON c.run_id = r.run_id AND c.name = 'cluster.cluster'
LEFT JOIN facts l ON l.run_id = r.run_id AND l.name = 'cost_leaves_out'
LEFT JOIN outliers o ON o.run_id = r.run_id
WHERE r.status = 'done' AND r.sanity IS DISTINCT FROM 'fail'
"""
"""One row an execution, real or recorded; `trusted` unless it was judged otherwise. `cost_leaves_out`: what its cost
does not contain, since the price list states no price for it."""

SETTINGS_VIEW = """
CREATE OR REPLACE VIEW execution_settings AS
SELECT p.run_id, p.name, p.value FROM params p
WHERE regexp_matches(p.name, '^(backend|workload|cluster|model|gpu)[.]') AND NOT ends_with(p.name, '.seed')
  AND p.run_id IN (SELECT m.run_id FROM metrics m WHERE m.name = 'exe_time_s' AND m.value > 0)
"""

TIMES_VIEW = """
CREATE OR REPLACE VIEW configuration_times AS
WITH points AS (
    SELECT x.experiment AS study, x.benchmark AS job, x.cluster, x.configuration, min(x.run_id) AS run_id,
           count(*) AS repeats, median(x.exe_time_s) AS time_s, median(x.cost_usd) AS cost_usd,
           any_value(x.cost_leaves_out) AS cost_leaves_out,
           coalesce(stddev_samp(ln(x.exe_time_s)), 0) AS own, list(x.run_id ORDER BY x.run_id) AS run_ids
    FROM executions x WHERE x.trusted GROUP BY x.experiment, x.benchmark, x.cluster, x.configuration),
usual AS (
    SELECT study, job, coalesce(median(own) FILTER (repeats > 1), 0) AS pooled FROM points GROUP BY study, job),
bounded AS (
    SELECT p.*, exp(1.645 * greatest(own, pooled) * CASE WHEN repeats > 2 THEN 1.2533 ELSE 1 END / sqrt(repeats))
               AS reach
    FROM points p JOIN usual u ON u.study = p.study AND u.job IS NOT DISTINCT FROM p.job)
SELECT b.study AS experiment, b.job AS benchmark, b.cluster, b.configuration, b.run_id, b.repeats,
       b.time_s, b.time_s / b.reach AS time_low, b.time_s * b.reach AS time_high,
       b.cost_usd, b.cost_usd / b.reach AS cost_low, b.cost_usd * b.reach AS cost_high,
       b.cost_leaves_out, b.run_ids
FROM bounded b
"""
"""One row a configuration: medians of its trusted repeats with intervals, and the runs behind them."""

COST_VIEW = """
CREATE OR REPLACE VIEW cost_effectiveness AS
SELECT b.*, b.time_s / min(b.time_s) OVER kind AS time_over_least,
       b.cost_usd / min(b.cost_usd) OVER kind AS cost_over_least,
       b.run_id IN (SELECT id FROM front_of((
           SELECT list({'kind': {'study': t.experiment, 'job': t.benchmark}, 'id': t.run_id,
                        'worst': [-t.time_high, -t.cost_high], 'best': [-t.time_low, -t.cost_low]})
           FROM configuration_times t))) AS on_front
FROM configuration_times b WINDOW kind AS (PARTITION BY b.experiment, b.benchmark)
"""
"""The same, compared with the fastest and the cheapest of its benchmark, and whether it is on the cost-time front."""

BEST_VIEW = """
CREATE OR REPLACE VIEW best_configurations AS
SELECT t.* FROM configuration_times t
QUALIFY row_number() OVER (
    PARTITION BY t.experiment, t.benchmark, t.cluster ORDER BY t.time_high, t.configuration) = 1
"""
"""For each benchmark on each cluster the configuration whose interval ends lowest: fast for certain, not by luck."""

FRONT_MACRO = """
CREATE OR REPLACE MACRO cost_time_front(benchmark := NULL, experiment := NULL) AS TABLE
SELECT e.* EXCLUDE (on_front) FROM cost_effectiveness e
WHERE e.on_front AND (benchmark IS NULL OR e.benchmark = benchmark)
  AND (experiment IS NULL OR e.experiment = experiment)
ORDER BY e.time_s
"""
"""The configurations of each benchmark that no other one is for certain both faster and cheaper than."""

WITHIN_MACRO = """
CREATE OR REPLACE MACRO best_within(budget_usd := NULL, deadline_s := NULL, benchmark := NULL,
                                    experiment := NULL) AS TABLE
WITH fitting AS (
    SELECT t.* FROM configuration_times t
    WHERE (benchmark IS NULL OR t.benchmark = benchmark) AND (experiment IS NULL OR t.experiment = experiment)
      AND (budget_usd IS NULL OR t.cost_high <= budget_usd) AND (deadline_s IS NULL OR t.time_high <= deadline_s)),
ranked AS (
    SELECT f.*, row_number() OVER (
               PARTITION BY f.experiment, f.benchmark ORDER BY f.time_high, f.configuration) AS by_time,
           CASE WHEN f.cost_high IS NOT NULL THEN row_number() OVER (
               PARTITION BY f.experiment, f.benchmark ORDER BY f.cost_high NULLS LAST, f.configuration) END AS by_cost
    FROM fitting f)
SELECT w.* FROM (
    SELECT 'fastest' AS goal, r.* EXCLUDE (by_time, by_cost) FROM ranked r WHERE r.by_time = 1
    UNION ALL
    SELECT 'cheapest', r.* EXCLUDE (by_time, by_cost) FROM ranked r WHERE r.by_cost = 1) w
ORDER BY w.experiment, w.benchmark, w.goal DESC
"""
"""The fastest and the cheapest configuration of each benchmark that for certain (upper ends of the intervals) keeps a
budget for one execution and a deadline; one without a price keeps no budget."""

EFFECTS_MACRO = """
CREATE OR REPLACE MACRO setting_effects(setting, benchmark := NULL, experiment := NULL, ignoring := []::VARCHAR[],
                                        least_pairs := 2) AS TABLE
WITH chosen AS MATERIALIZED (
    SELECT e.run_id, e.experiment AS study, ln(e.exe_time_s) AS log_time FROM executions e
    WHERE e.trusted AND (benchmark IS NULL OR e.benchmark = benchmark)
      AND (experiment IS NULL OR e.experiment = experiment)),
keyed AS (
    SELECT c.run_id, c.study, any_value(c.log_time) AS log_time, max(s.value) FILTER (s.name = setting) AS own,
           sum(hash(s.name, s.value)::HUGEINT)
               FILTER (s.name <> setting AND NOT list_contains(ignoring, s.name)) AS others
    FROM chosen c JOIN execution_settings s USING (run_id) GROUP BY c.run_id, c.study),
centre AS (
    SELECT study, others, own, median(log_time) AS log_time, count(*) AS runs
    FROM keyed WHERE own IS NOT NULL GROUP BY study, others, own),
base AS (
    SELECT study, arg_max(own, runs) AS own FROM (
        SELECT study, own, sum(runs) AS runs FROM centre GROUP BY study, own ORDER BY own) GROUP BY study),
pairs AS (
    SELECT a.study, b.own AS base, a.own, list_sort(list(exp(a.log_time - z.log_time))) AS ratios
    FROM centre a JOIN base b USING (study)
    JOIN centre z ON z.study = a.study AND z.others = a.others AND z.own = b.own
    WHERE a.own <> b.own GROUP BY ALL)
SELECT study AS experiment, setting AS setting, base AS from_value, own AS to_value,
       list_median(ratios) AS time_ratio,
       CASE WHEN len(ratios) >= 5
            THEN ratios[greatest(1, floor(len(ratios) / 2 - 0.8225 * sqrt(len(ratios)))::INTEGER)] END AS low,
       CASE WHEN len(ratios) >= 5
            THEN ratios[least(len(ratios), len(ratios) + 1
                    - greatest(1, floor(len(ratios) / 2 - 0.8225 * sqrt(len(ratios)))::INTEGER))] END AS high,
       len(ratios) AS configurations
FROM pairs WHERE len(ratios) >= least_pairs ORDER BY study, own
"""
"""What each value of a setting does against the commonest one, by configurations that differ in nothing else."""

SCALABILITY_MACRO = """
CREATE OR REPLACE MACRO scalability(resource := 'cluster.data_nodes', benchmark := NULL, experiment := NULL) AS TABLE
FROM setting_effects(resource, benchmark := benchmark, experiment := experiment, ignoring :=
    CASE WHEN resource IN ('cluster.cores_per_node', 'cluster.memory_per_node_gb')
         THEN ['cluster.cluster', 'cluster.vm_size'] ELSE ['cluster.cluster'] END)
"""
"""The same for more of a resource; that more nodes is another cluster's name does not count, nor that more memory is
another machine type. A machine of another provider is never the same with more memory."""

OVER_EXECUTIONS = (
    TIMES_VIEW,
    COST_VIEW,
    BEST_VIEW,
    FRONT_MACRO,
    WITHIN_MACRO,
    EFFECTS_MACRO,
    SCALABILITY_MACRO,
)
STATEMENTS = (OUTLIERS_VIEW, EXECUTIONS_VIEW, SETTINGS_VIEW, *OVER_EXECUTIONS)


def file_query(
    executions: Executions,
    costs_usd: np.ndarray | None = None,
    leaves_out: Sequence[str | None] | None = None,
) -> Query:
    """Return what answers SQL over these executions as `framework sql` does over the store's."""
    connection = execution_database(executions, costs_usd, leaves_out)
    return lambda statement, parameters: connection.execute(statement, list(parameters)).fetchall()


def execution_database(
    executions: Executions,
    costs_usd: np.ndarray | None = None,
    leaves_out: Sequence[str | None] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a database in memory with these executions (all of them trusted), their views and macros.

    Args:
        executions: those without a time are left out; `run_id` is their position.
        costs_usd: of each execution, NaN where unknown.
        leaves_out: what each cost does not contain; None: nothing is known of it.
    """
    import duckdb
    import numpy as np
    import pyarrow as pa

    from framework.analysis.prediction.features import group_codes
    from framework_hadoop.executions.execution_table import to_arrow
    from framework_hadoop.executions.recorded import param_columns

    rows = np.flatnonzero(executions.finished)
    known = executions.rows(rows)
    run_id = pa.array([str(row) for row in rows.tolist()])
    table = to_arrow(known)
    costs = np.full(len(rows), np.nan) if costs_usd is None else costs_usd[rows]
    listed = pa.table(
        {
            "run_id": run_id,
            "experiment": pa.repeat(pa.scalar("file"), len(rows)),
            "benchmark": table.column("benchmark"),
            "cluster": table.column("cluster"),
            "configuration": pa.array(group_codes(known.columns, known.configuration).astype(str).tolist()),
            "exe_time_s": table.column("exe_time_s"),
            "cost_usd": pa.array(costs, from_pandas=True),
            "cost_leaves_out": pa.nulls(len(rows), pa.string())
            if leaves_out is None
            else pa.array(leaves_out, pa.string()).take(pa.array(rows)),
            "trusted": pa.repeat(pa.scalar(True), len(rows)),
        }
    )
    settings = pa.concat_tables(
        [
            pa.table(
                {
                    "run_id": run_id,
                    "name": pa.repeat(pa.scalar(name), len(rows)),
                    "value": values.cast(pa.string()),
                }
            )
            for name, values in param_columns(known).items()
        ]
    )
    connection = duckdb.connect()
    for name, rows_of_table in (("executions", listed), ("execution_settings", settings)):
        connection.register("incoming", rows_of_table)
        connection.execute(f"CREATE TABLE {name} AS FROM incoming")
        connection.unregister("incoming")
    for statement in (*FRONT_MACROS, *OVER_EXECUTIONS):
        connection.execute(statement)
    return connection
