"""What single parameters do to a metric, everything else equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework import plugins
from framework.analysis.parameter_effects import ParameterEffect, parameter_effects
from framework.contracts import Figure, TableBlock
from framework.dashboard.address import Asked
from framework.dashboard.desk import Desk, Page
from framework.dashboard.pages.pareto_page import axes_shown_first
from framework.dashboard.pages.run_choice import MOST_RUNS, condition, measured
from framework.errors import UserError, one_line
from framework.report.run_table import read_parameters

_MOST_FIGURES = 8


def page(desk: Desk, asked: Asked) -> Page:
    """Return the effects on `metric` over the runs of `from`."""
    metrics = desk.metrics()
    first = desk.kept("axes shown first", lambda: axes_shown_first(metrics))
    metric = asked.text("metric", first[0] if first else "")
    names = asked.many("from")
    if metric:
        desk.check_known("metric", metric, metrics)
    content: dict[str, Any] = {
        "metric": metric, "metrics": metrics, "names": names, "experiments": desk.names("experiment"),
        "figures": [], "table": None, "error": "", "most": MOST_RUNS, "runs": 0,
    }  # fmt: skip
    try:
        if metric:
            content |= desk.kept(("effects", metric, *names), lambda: _effects(desk, metric, names))
    except UserError as error:
        content["error"] = one_line(error)
    return Page("Effects of parameters", "effects.html", content, "Effects", runs=condition(names))


def _effects(desk: Desk, metric: str, names: Sequence[str]) -> dict[str, Any]:
    values = measured(desk, metric, names)
    effects = parameter_effects(values, read_parameters(desk.store, list(values)))
    rows = [
        (effect.name, effect.strength * 100, effect.blocks, effect.reference, len(effect.values))
        for effect in effects
    ]
    columns = ("parameter", "largest against smallest (%)", "blocks", "reference", "values")
    caption = "Median over the blocks: groups of runs that differ in this parameter only."
    return {
        "figures": [_figure(metric, effect) for effect in effects[:_MOST_FIGURES]],
        "table": TableBlock(f"What changes {metric}", columns, rows, caption),
        "runs": len(values),
    }


def _figure(metric: str, effect: ParameterEffect) -> Figure:
    unit = plugins.metric_definitions().get(metric)
    numbers = [float(item.value) for item in effect.values] if effect.numeric else []
    log = len(numbers) > 2 and min(numbers) > 0 and max(numbers) >= 16 * min(numbers)
    places: list[Any] = [*numbers] or [item.value for item in effect.values]
    changes = [100 * item.change for item in effect.values]
    trace = {
        "type": "scatter", "mode": "lines+markers" if effect.numeric else "markers", "showlegend": False,
        "name": effect.name, "x": places, "y": changes,
        "error_y": {
            "type": "data", "symmetric": False,
            "array": [100 * (item.high - item.change) for item in effect.values],
            "arrayminus": [100 * (item.change - item.low) for item in effect.values],
        },
        "text": [f"{item.value}: {100 * item.change:+.1f} %, n = {item.blocks} blocks" for item in effect.values],
        "hovertemplate": "%{text}<extra></extra>", "marker": {"size": 9},
    }  # fmt: skip
    layout = {
        "height": 320,
        "xaxis": {
            "title": {"text": effect.name},
            "type": "log" if log else "linear" if effect.numeric else "category",
        },
        "yaxis": {"title": {"text": f"{metric}, change (%)"}, "zeroline": True},
    }
    better = f" ({unit.better} is better)" if unit is not None and unit.better != "none" else ""
    caption = (
        f"Change of {metric}{better} against {effect.name} = {effect.reference}, all other parameters equal: "
        f"median over n = {effect.blocks} blocks of runs."
    )
    band = "Bars: quartiles over the blocks."
    spec = {"data": [trace], "layout": layout}
    return Figure(f"Effect of {effect.name}", spec, caption, metrics=(metric,), band=band)
