"""The rule of Pareto fronts, once: macro `front_of` over points. Every front, in SQL or from Python, is made by it.

Point x dominates y if it is no worse in every objective and better in one. Equal points don't dominate each other:
they are on a front together or not at all. A point without a value in an objective is on no front and keeps no other
off. With intervals, x dominates y only for certain: x's worst end against y's best end, so overlapping intervals
never decide.
"""

from __future__ import annotations

MOST_OBJECTIVES = 10
_AXES = range(1, MOST_OBJECTIVES + 1)

# Lists are taken apart into columns, whose comparisons DuckDB makes a hundred times faster than those of lists; an
# axis that a point has not is 0 on both sides and decides nothing. "Better in one" is then "not equal".
_COLUMNS = ", ".join(f"coalesce(worst[{i}], 0) AS w{i}, coalesce(best[{i}], 0) AS b{i}" for i in _AXES)
_DOMINATES = (
    "q.kind IS NOT DISTINCT FROM p.kind AND "
    + " AND ".join(f"q.w{i} >= p.b{i}" for i in _AXES)
    + " AND q.worst <> p.best"
)
_SCORE = " + ".join(
    f"coalesce((w{i} - min(w{i}) OVER peers) / nullif(max(w{i}) OVER peers - min(w{i}) OVER peers, 0), 0)"
    for i in _AXES
)

# A point that is dominated need not be compared with others, since what dominates it dominates whatever it
# dominates. So the few points with the largest sums go first and leave little for the others to judge.
FRONT_OF = f"""
CREATE OR REPLACE MACRO front_of(points) AS TABLE
WITH given AS MATERIALIZED (SELECT unnest(points, max_depth := 2)),
placed AS MATERIALIZED (
    SELECT kind, id, worst, best, {_COLUMNS} FROM given
    WHERE list_bool_and(list_transform(list_concat(worst, best), lambda v: v IS NOT NULL AND NOT isnan(v)))
      AND CASE WHEN len(worst) > {MOST_OBJECTIVES}
               THEN error('a Pareto front of more than {MOST_OBJECTIVES} objectives') ELSE true END),
scored AS MATERIALIZED (SELECT *, {_SCORE} AS score FROM placed WINDOW peers AS (PARTITION BY kind)),
strong AS MATERIALIZED (
    FROM scored QUALIFY row_number() OVER (PARTITION BY kind ORDER BY score DESC) <= 16),
open AS MATERIALIZED (FROM scored p ANTI JOIN strong q ON {_DOMINATES}),
stronger AS MATERIALIZED (
    FROM open QUALIFY row_number() OVER (PARTITION BY kind ORDER BY score DESC) <= 512),
judges AS MATERIALIZED (FROM open p ANTI JOIN stronger q ON {_DOMINATES})
SELECT kind, id FROM judges p ANTI JOIN judges q ON {_DOMINATES}
"""
"""Rows (kind, id) of the points on the front of their kind. `points` is a list of structs: `kind` (points of other
kinds are not compared), `id`, and `worst` and `best`, lists of both ends of each objective, oriented so that more is
better."""

FRONT_MACROS = (FRONT_OF,)
