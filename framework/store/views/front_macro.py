"""The rule of Pareto fronts, once: macro `front_of` over points. Every front, in SQL or from Python, is made by it.

Point x dominates y if it is no worse in every objective and better in one. Equal points don't dominate each other:
they are on a front together or not at all. A point without a value in an objective is on no front and keeps no other
off. With intervals, x dominates y only for certain: x's worst end against y's best end, so overlapping intervals
never decide.
"""

from __future__ import annotations

DOMINATES = """
CREATE OR REPLACE MACRO dominates(worst, best) AS
    list_bool_and(list_transform(list_zip(worst, best), lambda ends: ends[1] >= ends[2]))
    AND list_bool_or(list_transform(list_zip(worst, best), lambda ends: ends[1] > ends[2]))
"""

# Points are compared in blocks first: a point that is dominated within its block need not be compared with others,
# since that point dominates whatever it dominates.
FRONT_OF = """
CREATE OR REPLACE MACRO front_of(points) AS TABLE
WITH given AS MATERIALIZED (SELECT unnest(points, max_depth := 2)),
placed AS MATERIALIZED (
    SELECT *, row_number() OVER (PARTITION BY kind ORDER BY worst DESC) // 64 AS block FROM given
    WHERE list_bool_and(list_transform(list_concat(worst, best), lambda v: v IS NOT NULL AND NOT isnan(v)))),
judges AS MATERIALIZED (
    SELECT * FROM placed p WHERE NOT EXISTS (
        FROM placed q
        WHERE q.kind IS NOT DISTINCT FROM p.kind AND q.block = p.block AND dominates(q.worst, p.best)))
SELECT kind, id FROM judges p WHERE NOT EXISTS (
    FROM judges q WHERE q.kind IS NOT DISTINCT FROM p.kind AND dominates(q.worst, p.best))
"""
"""Rows (kind, id) of the points on the front of their kind. `points` is a list of structs: `kind` (points of other
kinds are not compared), `id`, and `worst` and `best`, lists of both ends of each objective, oriented so that more is
better."""

FRONT_MACROS = (DOMINATES, FRONT_OF)
