"""All runs in a table, filtered and sorted as the address says, so that it can be passed on."""

from __future__ import annotations

from typing import Any

from framework import plugins
from framework.dashboard.address import Asked, link
from framework.dashboard.desk import Desk, Page
from framework.dashboard.pages.run_filters import CHOSEN, RunFilter, known_column, read_filter
from framework.store.views.results_view import quoted

_A_PAGE = 50
_IDENTITY = ("run_id", "experiment", "backend", "model", "gpu", "status", "sanity", "started_at")
_FROM_RUNS = ("status", "sanity", "started_at", "run_id", "experiment", "backend", "model", "gpu")
_MOST_SHOWN = 40
_SETTINGS_FIRST, _METRICS_FIRST = 3, 5


def page(desk: Desk, asked: Asked) -> Page:
    """Return the table of the runs that match."""
    columns = result_columns(desk)
    wanted = read_filter(asked, columns)
    first = desk.kept("columns shown first", lambda: shown_first(desk, columns))
    shown = [known_column(name, columns) for name in asked.many("show")][:_MOST_SHOWN] or first
    sort = known_column(asked.text("sort", "started_at"), [*_IDENTITY, *columns])
    order = asked.choice("order", ("ascending", "descending"), "descending")
    number = asked.whole("page", 1, 1, 1_000_000)
    total = desk.kept(
        ("total", wanted.sql, tuple(wanted.values)),
        lambda: desk.store.query(f"SELECT count(*) AS n {_joined(wanted, columns)}", wanted.values)["n"][
            0
        ].as_py(),
    )
    kept = [*wanted.pairs, *(("show", name) for name in shown if shown != first)]
    ordered = [("sort", sort), ("order", order)]
    pages = max(1, -(-total // _A_PAGE))
    content = {
        "wanted": wanted,
        "choices": {name: desk.names(name) for name in CHOSEN if name != "sweep_id"},
        "columns": [*_IDENTITY, *shown],
        "rows": _rows(desk, wanted, columns, shown, sort, order, number),
        "units": {name: item.unit for name, item in plugins.metric_definitions().items()},
        "sort": sort,
        "order": order,
        "sort_links": {
            name: link("/runs", [*kept, ("sort", name), ("order", _turned(name == sort, order))])
            for name in [*_IDENTITY, *shown]
        },
        "total": total,
        "first": (number - 1) * _A_PAGE + 1,
        "page": number,
        "pages": pages,
        "before": link("/runs", [*kept, *ordered, ("page", number - 1)]) if number > 1 else "",
        "after": link("/runs", [*kept, *ordered, ("page", number + 1)]) if number < pages else "",
        "shown": shown,
        "all_columns": [name for name in columns if name not in _IDENTITY],
        "sql": link("/sql", [("q", _as_sql(wanted, shown, sort, order))]),
    }
    return Page("Runs", "runs.html", content, "Runs")


def result_columns(desk: Desk) -> list[str]:
    """Return the columns of the view `results`."""
    return desk.kept("result columns", lambda: desk.store.query("FROM results LIMIT 0").column_names)


def shown_first(desk: Desk, columns: list[str]) -> list[str]:
    """Return a few varied settings and headline metrics, which the table shows unless others are asked for."""
    metrics = set(desk.metrics())
    settings = [
        name
        for name in columns
        if name not in metrics and name not in (*_IDENTITY, "sweep_id", "repeat", "definition")
    ]
    defined = plugins.metric_definitions()
    headline = [name for name, item in defined.items() if item.headline and name in columns]
    others = [name for name in columns if name in metrics and name not in headline]
    return [*settings[:_SETTINGS_FIRST], *(headline or others)[:_METRICS_FIRST]]


def _turned(again: bool, order: str) -> str:
    return "ascending" if again and order == "descending" else "descending"


def _joined(wanted: RunFilter, columns: list[str]) -> str:
    needs_results = "x." in wanted.sql
    join = " LEFT JOIN results x USING (run_id)" if needs_results else ""
    return f"FROM runs r{join} WHERE {wanted.sql}"


def _rows(
    desk: Desk, wanted: RunFilter, columns: list[str], shown: list[str], sort: str, order: str, number: int
) -> list[dict[str, Any]]:
    own = [f"r.{name}" for name in _IDENTITY]
    more = [f"x.{quoted(name)}" for name in shown if name not in _FROM_RUNS]
    by = f"r.{sort}" if sort in _FROM_RUNS else f"x.{quoted(sort)}"
    direction = "ASC" if order == "ascending" else "DESC"
    needs_results = bool(more) or "x." in wanted.sql or by.startswith("x.")
    join = " LEFT JOIN results x USING (run_id)" if needs_results else ""
    query = (
        f"SELECT {', '.join([*own, *more])} FROM runs r{join} WHERE {wanted.sql}"
        f" ORDER BY {by} {direction} NULLS LAST, r.run_id LIMIT {_A_PAGE} OFFSET {(number - 1) * _A_PAGE:d}"
    )
    found: list[dict[str, Any]] = desk.store.query(query, wanted.values).to_pylist()
    return found


def _as_sql(wanted: RunFilter, shown: list[str], sort: str, order: str) -> str:
    """Return the table as a query that a person can go on from."""
    text = wanted.sql
    for value in wanted.values:
        literal = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)
        text = text.replace("?", literal.replace("?", "\0"), 1)
    more = "".join(f", x.{quoted(name)}" for name in shown if name not in _FROM_RUNS)
    own = ", ".join(f"r.{name}" for name in _IDENTITY)
    by = f"r.{sort}" if sort in _FROM_RUNS else f"x.{quoted(sort)}"
    direction = "ASC" if order == "ascending" else "DESC"
    return (
        f"SELECT {own}{more}\nFROM runs r LEFT JOIN results x USING (run_id)\nWHERE {text}\n"
        f"ORDER BY {by} {direction} NULLS LAST"
    ).replace("\0", "?")
