"""`results`: one wide row a done run, its columns made from what the runs hold.

First who the run is, then the parameters that differ between stored runs or that a sweep varied, then every metric.
A parameter's column is the last part of its dotted name (`servers`) where that is unambiguous, and the whole
name (`"backend.rate"`) where it is not. What a group's name implies (a model's layers, a workload's mean length)
is not a column of its own, unless a sweep varied it. Where runs hold metrics of several definitions, a column
`definition` reports which each has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.store.views.definitions_view import mixed_metrics_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

IDENTITY = ("run_id", "experiment", "backend", "model", "gpu")
TRAILING = ("sanity", "sweep_id", "repeat", "started_at")
_SOMETIMES = ("definition",)

_CANDIDATES = """
WITH done AS (SELECT run_id FROM runs WHERE status = 'done'),
swept AS (SELECT DISTINCT name FROM varied SEMI JOIN done USING (run_id))
SELECT p.name,
       bool_and(p.value IS NULL OR regexp_full_match(p.value, '-?[0-9]{1,18}')) AS whole,
       bool_and(p.value IS NULL OR p.number IS NOT NULL) AS numeric,
       bool_and(p.value IS NULL OR p.value IN ('true', 'false')) AS logical,
       p.name IN (FROM swept) AS swept
FROM params p SEMI JOIN done USING (run_id)
GROUP BY p.name
HAVING count(DISTINCT coalesce('=' || p.value, '')) > 1 OR p.name IN (FROM swept)
ORDER BY swept DESC, p.name
"""

_IMPLIED = """
SELECT name FROM (
    SELECT p.name, g.value AS owner, count(DISTINCT coalesce('=' || p.value, '')) AS variants
    FROM params p JOIN params g ON g.run_id = p.run_id AND g.name = split_part(p.name, '.', 1) || '.name'
    SEMI JOIN (SELECT run_id FROM runs WHERE status = 'done') done ON done.run_id = p.run_id
    WHERE p.name IN (SELECT unnest(?::VARCHAR[])) AND p.name <> g.name
    GROUP BY ALL)
GROUP BY name HAVING max(variants) = 1
"""

_METRIC_NAMES = """
SELECT m.name FROM metrics m
SEMI JOIN (SELECT run_id FROM runs WHERE status = 'done') USING (run_id)
LEFT JOIN (SELECT name, row_number() OVER () AS place FROM metric_definitions) d USING (name)
GROUP BY m.name ORDER BY min(d.place) NULLS LAST, m.name
"""


# Of the metrics that are mixed: others say nothing of what may be compared.
_DEFINITION_OF_RUN = (
    mixed_metrics_sql()
    + "SELECT run_id, string_agg(DISTINCT definition, ' ' ORDER BY definition) AS definition"
    " FROM mine SEMI JOIN mixed USING (metric) GROUP BY run_id"
)


def quoted(identifier: str) -> str:
    """Return a SQL identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def rows_query(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a SELECT that gives these rows: for what was computed and is in no table."""
    values = ", ".join(f"({', '.join(map(_constant, row))})" for row in rows)
    return f"SELECT * FROM (VALUES {values}) t({', '.join(map(quoted, columns))})"


def _constant(value: object) -> str:
    if value is None or value != value:
        return "NULL"
    if isinstance(value, float):
        return f"'{value!r}'::DOUBLE"  # as a bare number it would be a decimal
    return repr(value) if isinstance(value, int) else literal(str(value))


def _unique(wanted: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Return names that differ even when case is ignored, as DuckDB does, by numbering later ones."""
    seen = {name.casefold() for name in taken}
    unique = []
    for name in wanted:
        candidate, count = name, 1
        while candidate.casefold() in seen:
            count += 1
            candidate = f"{name}_{count}"
        seen.add(candidate.casefold())
        unique.append(candidate)
    return unique


def column_names(params: list[str], metrics: list[str]) -> tuple[list[str], list[str]]:
    """Return the column names of parameters (dotted) and of metrics, all distinct."""
    fixed = {name.casefold() for name in (*IDENTITY, *TRAILING, *_SOMETIMES)}
    metric_columns = _unique(metrics, fixed)
    taken = fixed | {name.casefold() for name in metric_columns}
    leaves = [_leaf(name) for name in params]
    folded = [leaf.casefold() for leaf in leaves]
    short = [
        leaf if leaf and folded.count(leaf.casefold()) == 1 and leaf.casefold() not in taken else name
        for name, leaf in zip(params, leaves, strict=True)
    ]
    return _unique(short, taken), metric_columns


def varied_params(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return (dotted name, DuckDB type) of the parameters that get a column."""
    fixed = {f"{group}{suffix}" for group in ("backend", "model", "gpu") for suffix in ("", ".name")}
    candidates = [
        row
        for row in connection.execute(_CANDIDATES).fetchall()
        if row[0] not in fixed and not _leaf(row[0]).startswith("_")
    ]
    free = [name for name, *_, swept in candidates if not swept]
    implied = {name for (name,) in connection.execute(_IMPLIED, [free]).fetchall()}
    return [
        (name, "BIGINT" if whole else "DOUBLE" if numeric else "BOOLEAN" if logical else "VARCHAR")
        for name, whole, numeric, logical, _ in candidates
        if name not in implied
    ]


def _leaf(name: str) -> str:
    """Return the last part of a dotted name, of a group's `name` the group."""
    parts = name.split(".")
    return parts[-2] if parts[-1] == "name" and len(parts) > 1 else parts[-1]


def _pivot(table: str, names: list[str]) -> str:
    """Return a query with a column `"0"`, `"1"` … for each name, one row a run.

    Numbers represent names because DuckDB could not distinguish `Total` from `total`, nor a metric `run_id` from the
    key.
    """
    places = ", ".join(f"({literal(name)}, {place})" for place, name in enumerate(names))
    long = f"(SELECT run_id, place, value FROM {table} JOIN (VALUES {places}) AS places(name, place) USING (name))"
    return f"(PIVOT {long} ON place IN ({', '.join(map(str, range(len(names))))}) USING first(value) GROUP BY run_id)"


def build_results(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table behind `results` again, and the view."""
    params = varied_params(connection)
    metrics = [name for (name,) in connection.execute(_METRIC_NAMES).fetchall()]
    param_columns, metric_columns = column_names([name for name, _ in params], metrics)
    columns = [f"r.{name}" for name in IDENTITY]
    columns += [
        f'TRY_CAST(p."{place}" AS {kind}) AS {quoted(column)}'
        for place, ((_, kind), column) in enumerate(zip(params, param_columns, strict=True))
    ]
    columns += [f'm."{place}" AS {quoted(column)}' for place, column in enumerate(metric_columns)]
    columns += [f"r.{name}" for name in TRAILING]
    joins = ""
    if connection.execute(mixed_metrics_sql() + "FROM mixed LIMIT 1").fetchall():
        columns.append("d.definition")
        joins += f" LEFT JOIN ({_DEFINITION_OF_RUN}) d USING (run_id)"
    if params:
        joins += f" LEFT JOIN {_pivot('params', [name for name, _ in params])} p USING (run_id)"
    if metrics:
        joins += f" LEFT JOIN {_pivot('metrics', metrics)} m USING (run_id)"
    connection.execute(
        f"CREATE OR REPLACE TABLE results_wide AS SELECT {', '.join(columns)} FROM runs r{joins} "
        "WHERE r.status = 'done' AND r.run_id NOT IN (FROM archived) ORDER BY r.started_at, r.run_id"
    )
    connection.execute("CREATE OR REPLACE VIEW results AS FROM results_wide")
