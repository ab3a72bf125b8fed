"""Settings that nothing beats: any metrics as axes, limits, groups; the answer within the limits marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework import plugins
from framework.analysis.choice import choose
from framework.analysis.front_question import FrontAnswer, ask_fronts
from framework.dashboard.address import Asked, link
from framework.dashboard.desk import Desk, Page
from framework.errors import UserError, one_line
from framework.report.front_figure import front_figure
from framework.report.front_table import front_notes, front_table, telling_apart
from framework.report.run_table import read_parameters, short_names

_MOST_NAMED = 500
_MOST_ROWS = 200
_MOST_OBJECTIVES = 6


def page(desk: Desk, asked: Asked) -> Page:
    """Return the explorer: `up` and `across` are the axes, `also` further objectives."""
    metrics = desk.metrics()
    first = desk.kept("axes shown first", lambda: axes_shown_first(metrics))
    up = asked.text("up", first[0] if first else "")
    across = asked.text("across", first[1] if len(first) > 1 else "")
    also = asked.many("also")[: _MOST_OBJECTIVES - 2]
    names, limits, by = asked.many("from"), _split(asked.many("limit")), _split(asked.many("by"))
    mixed = bool(asked.text("mix"))
    content: dict[str, Any] = {
        "metrics": metrics, "up": up, "across": across, "also": also, "names": names, "limits": limits, "by": by,
        "mixed": mixed, "experiments": desk.names("experiment"), "parameters": _parameters(desk),
        "answer": None, "error": "",
    }  # fmt: skip
    wanted = [item for item in dict.fromkeys([up, across, *also]) if item]
    key = ("pareto", *wanted, None, *names, None, *limits, None, *by, mixed)
    if wanted:
        try:
            content["answer"] = desk.kept(key, lambda: _answer(desk, wanted, names, limits, by, mixed))
        except UserError as error:
            content["error"] = one_line(error)
    return Page("Pareto", "pareto.html", content, "Pareto")


def axes_shown_first(metrics: Sequence[str]) -> list[str]:
    """Return a metric of which more is better and one of which less is, headline metrics first."""
    defined = [item for item in plugins.metric_definitions().values() if item.name in metrics]
    defined.sort(key=lambda item: not item.headline)
    found = [next((item.name for item in defined if item.better == way), "") for way in ("higher", "lower")]
    return [name for name in found if name]


def _split(texts: Sequence[str]) -> list[str]:
    """Return the words of several fields; a field may have several, separated by commas or blanks."""
    return [word for text in texts for word in text.replace(",", " ").split()]


def _parameters(desk: Desk) -> list[str]:
    """Return the short names of what sweeps varied."""
    query = "SELECT DISTINCT name FROM varied ORDER BY 1"
    return desk.kept(
        "varied", lambda: sorted(short_names(desk.store.query(query)["name"].to_pylist()).values())
    )


def _answer(
    desk: Desk,
    wanted: Sequence[str],
    names: Sequence[str],
    limits: Sequence[str],
    by: Sequence[str],
    mixed: bool,
) -> dict[str, Any]:
    found: FrontAnswer = ask_fronts(desk.store, wanted, names, limits, by, mixed)
    points = [point for front in found.fronts for point in front.points]
    choices = choose(points, found.objectives[0])
    shown = [point.run_ids[0] for front in found.fronts for point in front.members]
    others = [point.run_ids[0] for point in points if not point.maybe_on_front]
    parameters = read_parameters(desk.store, [*shown, *others][:_MOST_NAMED])
    chosen = [choice.best.setting for choice in choices]
    varying, same = telling_apart(parameters, shown[:_MOST_NAMED])
    table = front_table(found.fronts, found.objectives, found.by, varying)
    return {
        "figure": front_figure(found.called, found.objectives, parameters, chosen, found.query),
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows[:_MOST_ROWS],
        "runs": shown[:_MOST_ROWS],
        "more": max(0, len(table.rows) - _MOST_ROWS),
        "same": same,
        "notes": front_notes(found.called),
        "sql_link": link("/sql", [("q", found.query)]),
        "command": _command(wanted, names, limits, by, mixed),
    }


def _command(
    wanted: Sequence[str], names: Sequence[str], limits: Sequence[str], by: Sequence[str], mixed: bool
) -> str:
    import shlex

    words = ["pareto", *wanted]
    for option, values in (("--from", names), ("--slo", limits), ("--by", by)):
        words += [word for value in values for word in (option, value)]
    return "python -m framework " + shlex.join([*words, *(["--mix-workloads"] if mixed else [])])
