"""Figures of Pareto fronts: two objectives as lines, the third as colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure
from framework_serving.fronts.front_points import ENERGY, LATENCY, THROUGHPUT, Front, Objective
from framework_serving.report.charts import Axis, Style, hover, layout
from framework_serving.sweeps.knees import Knee
from framework_serving.sweeps.sweep_points import SweepPoint

_AXES = {
    THROUGHPUT.metric: Axis("total throughput (tok/s, input + output)", log=True),
    LATENCY.metric: Axis("mean inter-token latency (ms)", log=True),
    ENERGY.metric: Axis("energy (J per input + output token)", log=True),
}
_SYMBOLS = {1: "circle", 2: "square", 4: "diamond"}
_CHUNKED_SYMBOL, _OTHER_SYMBOL = "triangle-up", "cross"
_SHAPES = "Circles: one engine, triangles: with chunked prefill, squares: 2 replicas, diamonds: 4."


def front_chart(found: Sequence[Front], knees: Sequence[Knee], style: Style) -> Figure | None:
    """Return the fronts of two objectives, throughput upwards; None if no main workload has one.

    Small pale marks are configurations that another one beats by less than the intervals of both.
    """
    traces: list[dict[str, Any]] = []
    for front in found:
        if style.is_main(front.points[0]):
            first = all(trace["name"] != front.points[0].model for trace in traces)
            traces.append(_front_line(front) | {"showlegend": first})
            open_marks = _undecided(front)
            if open_marks["x"]:
                traces.append(open_marks)
    if not traces:
        return None
    y, x = found[0].objectives
    marks = [knee.at_share for knee in knees if style.is_main(knee.at_share)]
    traces.append(_stars(marks, x, y))
    return Figure(
        f"Pareto front: {y.label} and {x.label}",
        {
            "data": [trace for trace in traces if trace["x"]],
            "layout": layout(_AXES[x.metric], _AXES[y.metric]),
        },
        "Up and left is better. The steps show the best value within a limit on the x axis. "
        f"{_SHAPES} Gold stars: knee of one engine (95 % of its best throughput). Small pale marks are beaten by "
        "less than the intervals of both configurations.",
        metrics=(y.metric, x.metric),
    )


def coloured_front_chart(found: Sequence[Front], style: Style) -> Figure | None:
    """Return the fronts of throughput, latency and energy: the third objective as colour; None if there is none."""
    fronts = [front for front in found if style.is_main(front.points[0])]
    if not fronts:
        return None
    points = [point for front in fronts for point in front.points]
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": front.points[0].model,
            "legendgroup": front.points[0].model,
            "showlegend": False,  # Plotly takes a legend's colour for a word, and these are energies
            **_coordinates(front.points, LATENCY, THROUGHPUT),
            "marker": {
                "symbol": [_symbol(point) for point in front.points],
                "size": 10,
                "color": [_log10(point.metrics[ENERGY.metric].value) for point in front.points],
                "coloraxis": "coloraxis",
                "line": {"width": 2, "color": "series"},
            },
            "text": [_hover(point) for point in front.points],
            "hovertemplate": "%{text}<extra></extra>",
        }
        for front in fronts
    ]
    for model in dict.fromkeys(front.points[0].model for front in fronts):
        mark = {"symbol": "circle-open", "size": 10, "line": {"width": 2}}
        own = {"type": "scatter", "mode": "markers", "name": model, "legendgroup": model, "marker": mark}
        traces.append({**own, "x": [None], "y": [None], "hoverinfo": "skip"})
    energies = [point.metrics[ENERGY.metric].value for point in points]
    spec = layout(_AXES[LATENCY.metric], _AXES[THROUGHPUT.metric])
    spec["coloraxis"] = {
        "colorscale": "Viridis",
        "reversescale": True,
        "colorbar": {
            "title": {"text": "J/token", "side": "right"},
            "orientation": "h",
            "y": -0.22,
            "yanchor": "top",
            "thickness": 12,
            **_decades(energies),
        },
    }
    return Figure(
        "Pareto front: tok/s, ITL and J/token",
        {"data": traces, "layout": spec},
        "Configurations that no other one of the model beats in all three. The colour is the energy "
        f"per token. {_SHAPES}",
        metrics=(THROUGHPUT.metric, LATENCY.metric, ENERGY.metric),
    )


def _front_line(front: Front) -> dict[str, Any]:
    y, x = front.objectives
    points = front.points
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": points[0].model,
        "legendgroup": points[0].model,
        **_coordinates(points, x, y),
        "line": {"width": 1.5, "shape": "vh"},
        "marker": {"symbol": [_symbol(point) for point in points], "size": 8},
        "text": [_hover(point) for point in points],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _undecided(front: Front) -> dict[str, Any]:
    y, x = front.objectives
    points = [
        point
        for point, kept, possible in zip(front.candidates, front.on_front, front.possible, strict=True)
        if possible and not kept
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{front.points[0].model} · undecided",
        "showlegend": False,
        "legendgroup": front.points[0].model,
        **_coordinates(points, x, y),
        "marker": {
            "symbol": [_symbol(point) for point in points],
            "size": 6,
            "opacity": 0.35,
        },
        "text": [_hover(point) for point in points],
        "hovertemplate": "%{text}<br>beaten within the intervals<extra></extra>",
    }


def _stars(points: Sequence[SweepPoint], x: Objective, y: Objective) -> dict[str, Any]:
    held = [point for point in points if point.value(x.metric) is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "knee of one engine",
        **_coordinates(held, x, y),
        "marker": {
            "symbol": "star",
            "size": 13,
            "color": "#FFC400",
            "line": {"width": 1.5, "color": "#7F7F7F"},
        },
        "text": [_hover(point) for point in held],
        "hovertemplate": "%{text}<br>knee<extra></extra>",
    }


def _coordinates(points: Sequence[SweepPoint], x: Objective, y: Objective) -> dict[str, list[float]]:
    return {
        "x": [point.metrics[x.metric].value for point in points],
        "y": [point.metrics[y.metric].value for point in points],
    }


def _symbol(point: SweepPoint) -> str:
    if point.chunked_prefill and point.replicas == 1:
        return _CHUNKED_SYMBOL
    return _SYMBOLS.get(point.replicas, _OTHER_SYMBOL)


def _hover(point: SweepPoint) -> str:
    parts = [hover(point), f"{point.value(THROUGHPUT.metric):.4g} tok/s"]
    for objective, unit in ((LATENCY, "ms"), (ENERGY, "J/token")):
        value = point.value(objective.metric)
        if value is not None:
            parts.append(f"{value:.3g} {unit}")
    return "<br>".join(parts)


def _log10(value: float) -> float:
    from math import log10

    return log10(value)


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """Return ticks at 1, 2 and 5 of each decade within the range of the values, for a colour bar in logarithm."""
    low, high = min(values), max(values)
    ticks = [digit * 10.0**power for power in range(-6, 4) for digit in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    return {"tickvals": [_log10(tick) for tick in shown], "ticktext": [f"{tick:g}" for tick in shown]}
