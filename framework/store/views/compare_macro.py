"""`compare('A', 'B')` and `reference_bands`: is B different from A beyond the noise of that system?

A and B are run ids, sweep ids or experiments; where none is called so, the value of a parameter that names what was
run (`GROUP.name`, or `GROUP.GROUP` as in `cluster.cluster`), or `PARAMETER=VALUE`. Their runs are matched point by
point: a point is what varies inside a group, so that a sweep is compared with another one batch size by batch size;
what is constant inside both but different between them is the configuration difference. If two units of one kind are
compared (clusters, GPUs), what such units have different values of (disks) belongs to what they are: it is part of
the difference, not of a point. The noise band is the half width of the 95 % interval of a difference of means: from
the repeats at that point (pooled variance, Student's t), else from all repeats that the store holds of that system
(`reference_bands`), else a stated floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.quantity import NOISE_FLOOR, student_t_975

if TYPE_CHECKING:
    import duckdb

_MOST_DEGREES = 200  # beyond, the quantile is within 0.7 % of the normal's


def add_student_t(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the macro `student_t(degrees)`."""
    quantiles = [student_t_975(degrees) for degrees in range(1, _MOST_DEGREES + 1)]
    connection.execute(
        "CREATE OR REPLACE MACRO student_t(degrees) AS "
        f"list_extract({quantiles}::DOUBLE[], least(degrees, {_MOST_DEGREES})::BIGINT)"
    )


# The same run done twice, whatever made the copy, says nothing new: averages, bands and predictors count it once.
OBSERVATIONS = """
CREATE OR REPLACE VIEW observations AS
SELECT * FROM runs WHERE status = 'done' AND run_id NOT IN (FROM archived)
QUALIFY row_number() OVER (
    PARTITION BY coalesce(run_key, run_id), repeat
    ORDER BY sanity IS NOT DISTINCT FROM 'fail', started_at DESC, run_id DESC) = 1
"""

# Relative scatter between repeats, pooled over all configurations of a system that were run more than once.
REFERENCE_BANDS = """
CREATE OR REPLACE VIEW reference_bands AS
WITH repeated AS (
    SELECT r.backend, r.model, r.gpu, m.name AS metric, count(*) AS runs, avg(m.value) AS mean,
           var_samp(m.value) AS variance
    FROM observations r JOIN metrics m USING (run_id)
    WHERE m.value IS NOT NULL
    GROUP BY r.backend, r.model, r.gpu, r.config_key, m.name
    HAVING count(*) > 1 AND avg(m.value) <> 0)
SELECT backend, model, gpu, metric, sum(runs - 1)::BIGINT AS degrees,
       sqrt(sum((runs - 1) * variance / (mean * mean)) / sum(runs - 1)) AS relative_sd,
       student_t(sum(runs - 1)) * relative_sd AS relative_band
FROM repeated GROUP BY ALL ORDER BY ALL
"""

NAMES_A_UNIT = """
CREATE OR REPLACE MACRO names_a_unit(parameter) AS
    parameter NOT LIKE '%.%.%' AND parameter LIKE '%.%'
    AND split_part(parameter, '.', 2) IN ('name', split_part(parameter, '.', 1))
"""
"""Whether a parameter names what was run (`model.name`, `cluster.cluster`): a word that `compare` understands."""

RUNS_OF = """
CREATE OR REPLACE MACRO runs_of(wanted) AS TABLE
WITH named AS (
    SELECT run_id, backend, model, gpu FROM runs
    WHERE status = 'done' AND (run_id = wanted OR sweep_id = wanted OR experiment = wanted)
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(run_key, run_id), repeat ORDER BY started_at DESC, run_id DESC) = 1),
found AS (
    FROM named
    UNION ALL
    SELECT r.run_id, r.backend, r.model, r.gpu FROM observations r SEMI JOIN (
        SELECT p.run_id FROM params p
        WHERE p.name || '=' || p.value = wanted OR (p.value = wanted AND names_a_unit(p.name))) p
      ON p.run_id = r.run_id
    WHERE NOT EXISTS (FROM named)),
names AS (
    SELECT DISTINCT unnest([run_id, sweep_id, experiment]) AS name FROM runs WHERE status = 'done'
    UNION SELECT value FROM params WHERE names_a_unit(name))
SELECT found.* FROM found WHERE (SELECT count(*) FROM found) > 0
UNION ALL
SELECT error('no done run, sweep or experiment ''' || wanted || '''' || coalesce(' (did you mean ''' || (
           SELECT arg_max(name, jaro_winkler_similarity(name, wanted)) FROM names) || '''?)', '')), NULL, NULL, NULL
WHERE NOT EXISTS (FROM found)
"""

COMPARE = """
CREATE OR REPLACE MACRO compare(group_a, group_b, noise_floor := {floor}) AS TABLE
WITH sides AS MATERIALIZED (
    SELECT 'a' AS side, * FROM runs_of(group_a) UNION ALL SELECT 'b', * FROM runs_of(group_b)),
settings AS MATERIALIZED (
    SELECT s.side, s.run_id, p.name, coalesce(p.value, 'null') AS value
    FROM sides s JOIN params p USING (run_id)
    WHERE NOT regexp_matches(p.name, '(^|\\.)(seed|repeats?)$')),
known AS (
    SELECT name, list(DISTINCT value ORDER BY value) FILTER (side = 'a') AS in_a,
           list(DISTINCT value ORDER BY value) FILTER (side = 'b') AS in_b
    FROM settings GROUP BY name),
units AS (
    SELECT split_part(p.name, '.', 1) AS unit FROM params p
    WHERE names_a_unit(p.name) AND (p.value IN (group_a, group_b) OR p.name || '=' || p.value IN (group_a, group_b))
    GROUP BY ALL HAVING count(DISTINCT p.value) = 2),
axes AS (
    SELECT name FROM known WHERE in_a IS NOT NULL AND in_b IS NOT NULL AND (len(in_a) > 1 OR len(in_b) > 1)
    AND NOT (in_a <> in_b AND split_part(name, '.', 1) IN (FROM units))),
placed AS MATERIALIZED (
    SELECT s.side, s.run_id, any_value(s.backend) AS backend, any_value(s.model) AS model, any_value(s.gpu) AS gpu,
           coalesce(list(x.name || '=' || x.value ORDER BY x.name) FILTER (x.name IS NOT NULL), []) AS place
    FROM sides s LEFT JOIN (FROM settings SEMI JOIN axes USING (name)) x USING (side, run_id)
    GROUP BY s.side, s.run_id),
measured AS (
    SELECT p.side, p.place, m.name, any_value(p.backend) AS backend, any_value(p.model) AS model,
           any_value(p.gpu) AS gpu, any_value(m.unit) AS unit, count(*) AS runs, avg(m.value) AS mean,
           coalesce((count(*) - 1) * var_samp(m.value), 0) AS squares
    FROM placed p JOIN metrics m USING (run_id) WHERE m.value IS NOT NULL GROUP BY ALL),
paired AS (
    SELECT x.place, x.name, x.unit, x.mean AS mean_a, y.mean AS mean_b, x.runs AS runs_a, y.runs AS runs_b,
           x.runs + y.runs - 2 AS degrees, (x.squares + y.squares) AS squares, 1 / x.runs + 1 / y.runs AS shares,
           greatest(abs(x.mean), abs(y.mean)) AS size, r.relative_band, coalesce(d.better, 'none') AS better
    FROM measured x JOIN measured y ON y.side = 'b' AND y.place = x.place AND y.name = x.name
    LEFT JOIN reference_bands r ON r.metric = x.name AND r.backend IS NOT DISTINCT FROM x.backend
         AND r.model IS NOT DISTINCT FROM x.model AND r.gpu IS NOT DISTINCT FROM x.gpu
    LEFT JOIN metric_definitions d ON d.name = x.name
    WHERE x.side = 'a'),
judged AS (
    SELECT *, mean_b - mean_a AS difference,
           CASE WHEN degrees >= 1 THEN greatest(student_t(degrees) * sqrt(squares / degrees * shares), 1e-9 * size)
                WHEN relative_band IS NOT NULL THEN greatest(relative_band * sqrt(shares), 1e-9) * size
                ELSE noise_floor * size END AS band,
           CASE WHEN degrees >= 1 THEN 'repeats' WHEN relative_band IS NOT NULL THEN 'reference'
                ELSE 'floor' END AS noise_source
    FROM paired)
SELECT 'config' AS kind, name, NULL AS unit, NULL AS point, array_to_string(in_a, ', ') AS setting_a,
       array_to_string(in_b, ', ') AS setting_b, NULL::DOUBLE AS mean_a, NULL::DOUBLE AS mean_b,
       NULL::BIGINT AS runs_a, NULL::BIGINT AS runs_b, NULL::DOUBLE AS change, NULL::DOUBLE AS noise,
       NULL AS noise_source, 'differs' AS verdict
FROM known WHERE in_a IS DISTINCT FROM in_b AND name NOT IN (FROM axes)
UNION ALL
SELECT 'metric', name, unit, array_to_string(list_filter(place, lambda axis: NOT contains(axis, '._')
           AND (NOT regexp_matches(axis, '^(model|gpu)\\.') OR regexp_matches(axis, '^[a-z]+\\.name='))), ' '),
       NULL, NULL, mean_a, mean_b, runs_a, runs_b,
       CASE WHEN mean_a <> 0 THEN difference / mean_a END, CASE WHEN mean_a <> 0 THEN band / abs(mean_a) END,
       noise_source,
       CASE WHEN abs(difference) <= band THEN 'same' WHEN better = 'none' THEN 'different'
            WHEN (difference > 0) = (better = 'higher') THEN 'better' ELSE 'worse' END
FROM judged
ORDER BY kind, name, point
""".replace("{floor}", str(NOISE_FLOOR))

COMPARISON_VIEWS = (OBSERVATIONS, REFERENCE_BANDS, NAMES_A_UNIT, RUNS_OF, COMPARE)
