"""What work costs: from the price of a machine's hour and a rate, or as the runs state it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from framework.analysis.front_question import FrontAnswer, ask_fronts
from framework.analysis.objectives import KnownMetrics, full_parameters
from framework.analysis.setting_fronts import SettingPoint
from framework.analysis.unit_cost import cost_of_work
from framework.contracts import Figure, TableBlock
from framework.dashboard.address import Asked, RefusedError
from framework.dashboard.desk import Desk, Page
from framework.errors import NotInStoreError, UserError, one_line
from framework.quantity import Quantity
from framework.report.answer_words import band
from framework.report.run_table import read_parameters

_MOST_NAMED = 500
_MOST_ROWS = 100
_UNITS = 1e6
_CURRENCIES = ("$", "usd", "eur", "€")


def page(desk: Desk, asked: Asked) -> Page:
    """Return the cost of a million units of `work`, or the metric `work` itself if it is a cost."""
    known = desk.kept("known metrics", lambda: KnownMetrics.read(desk.store))
    stated = [name for name, unit in known.units.items() if unit.lower().startswith(_CURRENCIES)]
    rates = [n for n, unit in known.units.items() if unit.endswith("/s") and known.better[n] == "higher"]
    work = asked.text("work", next(iter([*stated, *_per_machine_last(rates)]), ""))
    if work and work not in (*stated, *rates):
        raise RefusedError(f"work={work[:80]}: neither a cost nor a rate of work")
    lower = sorted(n for n, better in known.better.items() if better == "lower" and n in desk.metrics())
    across = asked.text(
        "across", next((n for n in lower if n.endswith("_p99_ms")), lower[0] if lower else "")
    )
    price = asked.number("price", 1.0, 0.0, 1e9)
    count = asked.text("machines", "gpus" if _has(desk, "gpus") else "")
    names, by = asked.many("from"), asked.many("by")
    content: dict[str, Any] = {
        "work": work, "choices": [*stated, *rates], "stated": work in stated, "lower": lower, "across": across,
        "price": price, "machines": count, "names": names, "by": by, "experiments": desk.names("experiment"),
        "figure": None, "table": None, "error": "",
    }  # fmt: skip
    if work and across and across != work:
        key = ("cost", work, across, price, count, *names, None, *by)
        try:
            content |= desk.kept(
                key, lambda: _priced(desk, work, across, None if work in stated else price, count, names, by)
            )
        except UserError as error:
            content["error"] = one_line(error)
    return Page("Cost", "cost.html", content, "Cost")


def _per_machine_last(rates: Sequence[str]) -> list[str]:
    return sorted(rates, key=lambda name: ("_per_" in name, "output" not in name, name))


def _has(desk: Desk, parameter: str) -> bool:
    try:
        return bool(full_parameters(desk.store, [parameter]))
    except NotInStoreError:  # no run has it, or several are called so
        return False


def _priced(
    desk: Desk, work: str, across: str, price: float | None, count: str, names: list[str], by: list[str]
) -> dict[str, Any]:
    asked: FrontAnswer = ask_fronts(desk.store, [work, across], names, [], by)
    points = [point for front in asked.fronts for point in front.points]
    if price is not None:
        machines = _machines(desk, count)
        points = [
            replace(
                p,
                values=(
                    cost_of_work(p.values[0], price, machines.get(p.run_ids[0], 1.0), _UNITS),
                    p.values[1],
                ),
            )
            for p in points
            if p.values[0].value > 0
        ]
    points.sort(key=lambda point: (point.values[0].value, point.setting))
    parameters = read_parameters(desk.store, [point.run_ids[0] for point in points[:_MOST_NAMED]])
    unit = asked.objectives[0].unit
    called = {front.kind: named.kind for front, named in zip(asked.fronts, asked.called, strict=True)}
    title = f"cost of a million {unit.removesuffix('/s')}" if price is not None else f"{work} ({unit})"
    shown = [name for name in parameters if name not in asked.by]
    rows = [
        [
            *p.kind,
            *(parameters[n].get(p.run_ids[0]) for n in shown),
            p.values[0].value,
            band(p.values[0]),
            p.values[1].value,
        ]
        for p in points[:_MOST_ROWS]
    ]
    columns = [*asked.by, *shown, title, "band", across]
    return {
        "table": TableBlock("The cheapest settings", columns, rows, f"{len(points)} settings in all."),
        "figure": _figure([replace(p, kind=called[p.kind]) for p in points], title, across, asked.query),
    }


def _machines(desk: Desk, count: str) -> dict[str, float]:
    """Return run → number of machines, from a parameter; runs without it have one."""
    if not count:
        return {}
    (name,) = full_parameters(desk.store, [count])
    query = "SELECT run_id, try_cast(value AS DOUBLE) AS n FROM params WHERE name = ?"
    return {row["run_id"]: row["n"] for row in desk.store.query(query, [name]).to_pylist() if row["n"]}


def _figure(points: Sequence[SettingPoint], title: str, across: str, query: str) -> Figure:
    kinds: dict[str, list[SettingPoint]] = {}
    for point in points:
        kinds.setdefault(", ".join(point.kind) or "settings", []).append(point)
    data: list[dict[str, Any]] = []
    for kind, members in kinds.items():
        costs = [point.values[0] for point in members]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": kind, "marker": {"size": 8},
                "thing": members[0].kind[0] if members[0].kind else kind,
                "x": [point.values[1].value for point in members], "y": [cost.value for cost in costs],
                "error_y": _bars(costs),
            }
        )  # fmt: skip
    positive = all(point.values[0].value > 0 and point.values[1].value > 0 for point in points)
    kind = "log" if positive and points else "linear"
    layout = {
        "xaxis": {"title": {"text": f"{across} (lower is better)"}, "type": kind},
        "yaxis": {"title": {"text": f"{title} (lower is better)"}, "type": kind},
    }
    caption = f"Each point is a setting (n = {len(points):,})."
    band = "Bars: the band that the metric gives the cost."
    spec = {"data": data, "layout": layout}
    return Figure(f"{title} against {across}", spec, caption, sql=query, band=band)


def _bars(costs: Sequence[Quantity]) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "thickness": 1,
        "array": [max(0.0, (cost.high or cost.value) - cost.value) for cost in costs],
        "arrayminus": [max(0.0, cost.value - (cost.low or cost.value)) for cost in costs],
    }  # fmt: skip
