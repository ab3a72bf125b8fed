"""Settings and their fronts in SQL: macros `setting_values` and `setting_front`.

A setting is one configuration; its repeats (other seeds, other attempts) are averaged. The band of a value is, in
this order: the 95 % interval of the mean of three or more repeats, the run's own interval (the wider one where both
exist), the scatter between repeats of other settings of the same system, a stated floor.
"""

from __future__ import annotations

from framework.quantity import NOISE_FLOOR

SETTING_VALUES = f"""
CREATE OR REPLACE MACRO setting_values(wanted, names := NULL) AS TABLE
WITH chosen AS (
    SELECT run_id, backend, model, gpu, coalesce(config_key, run_id) AS setting FROM runs
    WHERE status = 'done' AND sanity IS DISTINCT FROM 'fail' AND run_id NOT IN (FROM archived)
      AND (names IS NULL OR list_contains(names, experiment) OR list_contains(names, sweep_id)
           OR list_contains(names, run_id))
    QUALIFY row_number() OVER (
        PARTITION BY coalesce(config_key, run_id), repeat, seed ORDER BY started_at DESC, run_id DESC) = 1),
averaged AS (
    SELECT c.setting, m.name AS metric, min(c.backend) AS backend, min(c.model) AS model, min(c.gpu) AS gpu,
           list(c.run_id ORDER BY c.run_id) AS run_ids, count(*) AS runs, avg(m.value) AS value,
           stddev_samp(m.value) AS deviation, avg(m.low) AS own_low, avg(m.high) AS own_high, min(m.unit) AS unit
    FROM chosen c JOIN metrics m USING (run_id)
    WHERE list_contains(wanted, m.name) AND m.value IS NOT NULL GROUP BY c.setting, m.name),
halved AS (
    SELECT a.*, CASE
               WHEN runs >= 3 THEN student_t(runs - 1) * deviation / sqrt(runs)
               WHEN own_low IS NULL OR own_high IS NULL
                   THEN coalesce(b.relative_band, {NOISE_FLOOR}) * abs(value) / sqrt(runs) END AS half,
           CASE
               WHEN runs >= 3 THEN runs || ' repeats'
               WHEN own_low IS NOT NULL AND own_high IS NOT NULL THEN 'its own interval'
               WHEN b.relative_band IS NOT NULL THEN 'repeats of other settings'
               ELSE 'noise floor' END AS basis
    FROM averaged a LEFT JOIN reference_bands b
      ON b.metric = a.metric AND b.backend = a.backend AND b.degrees >= 3
     AND b.model IS NOT DISTINCT FROM a.model AND b.gpu IS NOT DISTINCT FROM a.gpu)
SELECT setting, metric, run_ids, runs, value, least(value - half, own_low) AS low,
       greatest(value + half, own_high) AS high, basis, unit
FROM halved
"""
"""One row a setting and metric: `value` (mean of the repeats), `low`, `high`, `basis` of that band, `run_ids`,
`unit`. `wanted`: names of metrics; `names`: experiments, sweeps or runs."""

# Limits are compared with the value, as a reader does; whether the band crosses a limit is the answer's to say.
SETTING_FRONT = """
CREATE OR REPLACE MACRO setting_front(objectives, better := NULL, names := NULL, groups := NULL,
                                      limits := NULL) AS TABLE
WITH axes AS MATERIALIZED (
    SELECT place, objectives[place] AS metric,
           metric_sign(objectives[place], CASE WHEN better IS NOT NULL THEN better[place] END) AS sign
    FROM (SELECT unnest(range(1, len(objectives) + 1)) AS place)),
bounds AS MATERIALIZED (SELECT b.metric, b.least, b.most FROM (
    SELECT unnest(coalesce(limits, [])::STRUCT(metric VARCHAR, least DOUBLE, most DOUBLE)[]) AS b)),
known AS MATERIALIZED (
    FROM setting_values(list_concat(objectives, list_transform(
        coalesce(limits, [])::STRUCT(metric VARCHAR, least DOUBLE, most DOUBLE)[],
        lambda b: b.metric)), names := names)),
kept AS (
    SELECT setting FROM known k JOIN bounds b USING (metric)
    WHERE k.value >= coalesce(b.least, k.value) AND k.value <= coalesce(b.most, k.value)
    GROUP BY setting HAVING count(*) = (SELECT count(*) FROM bounds)),
points AS MATERIALIZED (
    SELECT k.setting, list(k.value ORDER BY a.place) AS value, list(k.low ORDER BY a.place) AS low,
           list(k.high ORDER BY a.place) AS high, list(a.sign * k.value ORDER BY a.place) AS gain,
           list(least(a.sign * k.low, a.sign * k.high) ORDER BY a.place) AS worst,
           list(greatest(a.sign * k.low, a.sign * k.high) ORDER BY a.place) AS best,
           min_by(k.run_ids, a.place) AS run_ids, list(k.basis ORDER BY a.place) AS basis
    FROM known k JOIN axes a USING (metric) GROUP BY k.setting
    HAVING count(*) = (SELECT count(*) FROM axes)),
kinds AS (
    SELECT s.setting, list(p.value ORDER BY g.place) AS kind
    FROM points s, (SELECT unnest(range(1, len(groups) + 1)) AS place) g
    LEFT JOIN params p ON p.run_id = s.run_ids[1] AND p.name = groups[g.place] GROUP BY s.setting),
judged AS MATERIALIZED (
    SELECT p.*, coalesce(k.kind, []) AS kind,
           NOT EXISTS (FROM bounds) OR p.setting IN (SELECT setting FROM kept) AS within
    FROM points p LEFT JOIN kinds k USING (setting)),
front AS MATERIALIZED (SELECT id FROM front_of((
    SELECT list({'kind': kind, 'id': setting, 'worst': gain, 'best': gain}) FROM judged WHERE within))),
possible AS MATERIALIZED (SELECT id FROM front_of((
    SELECT list({'kind': kind, 'id': setting, 'worst': worst, 'best': best}) FROM judged WHERE within)))
SELECT kind, setting, run_ids, len(run_ids) AS runs, value, low, high, basis, within,
       setting IN (SELECT id FROM front) AS on_front, setting IN (SELECT id FROM possible) AS maybe_on_front
FROM judged WHERE (SELECT bool_and(sign <> 0) FROM axes)
ORDER BY kind, gain DESC, setting
"""
"""One row a setting with a value in every objective. `on_front`: nothing beats its values; `maybe_on_front`: nothing
beats it beyond the bands of both. `groups`: full names of parameters whose values must agree to be compared;
`limits`: list of structs `metric`, `least`, `most` (NULL: none)."""

SETTING_MACROS = (SETTING_VALUES, SETTING_FRONT)
