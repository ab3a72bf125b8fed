"""Pareto fronts of serving configurations in SQL: view `serving_points` and macro `serving_front`.

They say what `front_points.py` says in Python, over every run in the store: repeats averaged, comparable
configurations only, preempting and failed runs left out. Both leave the front itself to the core's macro `front_of`.
"""

from __future__ import annotations

from framework.quantity import NOISE_FLOOR

# A point is the latest run of each configuration and seed by the newest code; `setting` is the configuration that
# its repeats share, `comparable` the part that must agree for two points to be compared.
SERVING_POINTS_VIEW = """
CREATE OR REPLACE VIEW serving_points AS
WITH newest AS (
    SELECT runs.run_id, runs.experiment AS study, runs.model, runs.sanity, config_key AS setting FROM runs
    WHERE status = 'done' AND run_id IN (SELECT run_id FROM metrics WHERE name = 'total_tok_s' AND value > 0)
    QUALIFY row_number() OVER (
        PARTITION BY runs.experiment, config_key, repeat, seed ORDER BY started_at DESC, run_id DESC) = 1),
described AS (
    SELECT run_id, name || '=' || value AS item, name LIKE 'backend.%' AND name <> 'backend.name' AS own
    FROM params
    WHERE regexp_matches(name, '^(backend|model|gpu|workload)\\.') AND name <> 'workload.seed'
      AND value IS NOT NULL AND value <> 'null' AND run_id IN (SELECT run_id FROM newest)),
keyed AS (
    SELECT run_id, string_agg(item, chr(10) ORDER BY item) FILTER (NOT own) AS comparable
    FROM described GROUP BY run_id HAVING bool_or(starts_with(item, 'backend.max_num_seqs=')))
SELECT n.run_id, n.study, n.model, n.setting, k.comparable,
       bool_and(n.sanity IS DISTINCT FROM 'fail' AND coalesce(m.value, 0) = 0)
           OVER (PARTITION BY n.study, n.setting) AS usable
FROM newest n JOIN keyed k USING (run_id)
LEFT JOIN metrics m ON m.run_id = n.run_id AND m.name = 'preemptions'
"""

SERVING_FRONT_MACRO = f"""
CREATE OR REPLACE MACRO serving_front(objectives := ['total_tok_s', 'itl_mean_ms'], experiment := NULL,
                                      model := NULL, noise_aware := false) AS TABLE
WITH chosen AS MATERIALIZED (
    SELECT p.run_id, p.setting, p.comparable, p.study
    FROM serving_points p
    WHERE p.usable AND p.study = coalesce(experiment, p.study) AND (model IS NULL OR p.model = model)),
axes AS MATERIALIZED (
    SELECT name, metric_sign(name, NULL) AS sign FROM (SELECT unnest(objectives) AS name)),
bounds AS (
    SELECT c.study, c.comparable, c.setting, a.name, a.sign, avg(m.value) AS mean, count(*) AS runs,
           CASE WHEN count(*) > 1 OR any_value(m.low) IS NOT NULL THEN min(coalesce(m.low, m.value)) END AS low,
           CASE WHEN count(*) > 1 OR any_value(m.high) IS NOT NULL THEN max(coalesce(m.high, m.value)) END AS high
    FROM chosen c JOIN axes a ON true JOIN metrics m ON m.run_id = c.run_id AND m.name = a.name
    WHERE m.value IS NOT NULL GROUP BY ALL),
gains AS MATERIALIZED (
    SELECT study, comparable, setting, list(worst ORDER BY name) AS worst, list(best ORDER BY name) AS best FROM (
        SELECT *,
               CASE WHEN noise_aware THEN least(sign * coalesce(low, mean - {NOISE_FLOOR} * abs(mean)),
                                                sign * coalesce(high, mean + {NOISE_FLOOR} * abs(mean)))
                    ELSE sign * mean END AS worst,
               CASE WHEN noise_aware THEN greatest(sign * coalesce(low, mean - {NOISE_FLOOR} * abs(mean)),
                                                   sign * coalesce(high, mean + {NOISE_FLOOR} * abs(mean)))
                    ELSE sign * mean END AS best
        FROM bounds) GROUP BY study, comparable, setting HAVING count(*) = (SELECT count(*) FROM axes))
SELECT w.* FROM chosen c JOIN results w USING (run_id)
WHERE {{'study': c.study, 'setting': c.setting}} IN (SELECT id FROM front_of((
    SELECT list({{'kind': {{'study': study, 'comparable': comparable}}, 'id': {{'study': study, 'setting': setting}},
                 'worst': worst, 'best': best}}) FROM gains)))
ORDER BY w.model, w.total_tok_s DESC, w.run_id
"""
"""One row a run of each setup that no comparable one beats. Options: `objectives` (any number of metrics with a
better direction), `experiment`, `model`, and `noise_aware`: keep what may be on the front within the intervals."""
