"""What adapters cost a server: memory, computing, loading, scheduling; and which points are worth a choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from framework.analysis.pareto import front_mask
from framework.contracts import Figure, ReportSection
from framework_serving.sweeps.adapter_points import ADAPTERS, SLOTS, mix_of, slot_points
from framework_serving.sweeps.sweep_points import SweepPoint

Value = Callable[[SweepPoint], float | None]
Name = Callable[[SweepPoint], str]
_MOST_LINES = 12


def cost_section(points: Sequence[SweepPoint]) -> ReportSection | None:
    """Return the figures of a sweep over adapters or slots; None of any other."""
    swept = slot_points(points)
    figures = [figure for figure in (*_costs(swept), *_fronts(swept)) if figure is not None]
    return ReportSection("What adapters cost", figures, order=23) if figures else None


def _costs(points: Sequence[SweepPoint]) -> Iterator[Figure | None]:
    yield _lines(
        "Memory: what the slots leave for the KV cache",
        points,
        (_slots, "slots on the GPU"),
        (_metric("kv_capacity_tokens", 1e-3), "KV cache (1000 tokens)"),
        lambda point: f"{point.model}, slots of rank {_slot_rank(point)}",
        "kv_capacity_tokens",
        "Each slot reserves buffers of the largest rank, used or not. A line ends where the engine no longer starts.",
    )
    yield _lines(
        "Computing: more different adapters make a step longer",
        points,
        (_metric("adapters_running_mean"), "different adapters in a step, mean"),
        (_metric("itl_mean_ms"), "time between tokens (ms)"),
        lambda point: f"{point.workload}, {_slots(point):.0f} slots",
        "itl_mean_ms",
        "Points of one line differ in the number of adapters that are served. The batch grows with it, too.",
    )
    yield _lines(
        "Loading: the share of time in which adapters are copied into slots",
        points,
        (_slots, "slots on the GPU"),
        (_metric("time_load_share", 100.0), "% of time"),
        lambda point: f"{point.workload}, {point.number(ADAPTERS):.0f} adapters",
        "time_load_share",
        "The engine computes nothing while it loads. With every slot taken, one new adapter can push out several "
        "others of the same step, which are loaded again; with a slot for each adapter nothing is loaded twice.",
    )
    yield _lines(
        "Scheduling: the share of time in which the queue is searched",
        points,
        (_slots, "slots on the GPU"),
        (_metric("time_scan_share", 100.0), "% of time"),
        lambda point: f"{point.workload}, {point.number(ADAPTERS):.0f} adapters",
        "time_scan_share",
        "While every slot is taken, each step passes over the waiting requests whose adapter has none.",
    )


def _lines(
    title: str,
    points: Sequence[SweepPoint],
    x: tuple[Value, str],
    y: tuple[Value, str],
    name: Name,
    metric: str,
    caption: str,
) -> Figure | None:
    """Return y over x, one line a name; None unless some line has two places. The longest lines are drawn."""
    lines: dict[str, dict[float, float]] = {}
    for point in points:
        across, up = x[0](point), y[0](point)
        if across is not None and up is not None:
            lines.setdefault(name(point), {})[across] = up
    drawn = {key: places for key, places in lines.items() if len(places) > 1}
    if not drawn or not any(value for places in drawn.values() for value in places.values()):
        return None
    longest = sorted(drawn, key=lambda key: -len(drawn[key]))[:_MOST_LINES]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": key,
            "x": sorted(drawn[key]),
            "y": [drawn[key][across] for across in sorted(drawn[key])],
        }
        for key in drawn
        if key in longest
    ]
    left_out = len(drawn) - len(data)
    words = f"{caption} {left_out} lines are not drawn." if left_out else caption
    layout = {"xaxis": _axis(x[1]), "yaxis": _axis(y[1]), "showlegend": True}
    return Figure(title, {"data": data, "layout": layout}, words, metrics=(metric,))


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title}, "rangemode": "tozero", "automargin": True}


def _fronts(points: Sequence[SweepPoint]) -> Iterator[Figure | None]:
    for mix in dict.fromkeys(map(mix_of, points)):
        yield _front(mix, [point for point in points if mix_of(point) == mix])


def _front(mix: tuple[str, str], points: Sequence[SweepPoint]) -> Figure | None:
    """Return the points without starvation, and those that no other one beats in adapters, throughput and TTFT."""
    known = [
        (point, (float(point.number(ADAPTERS) or 0), tok_s, ttft_ms / 1e3))
        for point in points
        if point.value("starved") == 0
        and (tok_s := point.value("total_tok_s")) is not None
        and (ttft_ms := point.value("ttft_mean_ms")) is not None
    ]
    if len(known) < 2:
        return None
    front = front_mask([values for _, values in known], ("higher", "higher", "lower"))
    chosen = [item for item, best in zip(known, front, strict=True) if best]
    rest = [item for item, best in zip(known, front, strict=True) if not best]
    data = [
        _markers("not beaten", chosen, {"size": 13, "symbol": "diamond", "showscale": True}),
        _markers("beaten", rest, {"size": 8, "symbol": "circle-open", "showscale": False}),
    ]
    seconds = [values[2] for _, values in known]
    for trace in data:
        trace["marker"] |= {"cmin": min(seconds), "cmax": max(seconds)}
    return Figure(
        f"Worth a choice: {mix[0]}, {mix[1]}",
        {
            "data": [trace for trace in data if trace["x"]],
            "layout": {
                "xaxis": _axis("adapters served"),
                "yaxis": {**_axis("throughput (tok/s, input + output)"), "rangemode": "normal"},
                "legend": {"orientation": "h", "y": 1.12},
                "showlegend": True,
            },
        },
        f"{len(chosen)} of {len(known)} points without starvation: no other one serves as many adapters with as much "
        "throughput and as short a wait. The numbers next to the points are slots.",
        metrics=("total_tok_s", "ttft_mean_ms"),
    )


def _markers(
    name: str, items: Sequence[tuple[SweepPoint, tuple[float, float, float]]], marker: dict[str, Any]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": name,
        "x": [values[0] for _, values in items],
        "y": [values[1] for _, values in items],
        "text": [f"{_slots(point):.0f}" for point, _ in items],
        "textposition": "middle right",
        "customdata": [values[2] for _, values in items],
        "hovertemplate": "%{x} adapters, %{text} slots<br>%{y:,.0f} tok/s, TTFT %{customdata:.3g} s<extra></extra>",
        "marker": {
            "color": [values[2] for _, values in items],
            "colorscale": "Viridis",
            "reversescale": True,
            "colorbar": {"title": {"text": "mean TTFT, s"}},
            **marker,
        },
    }


def _metric(name: str, factor: float = 1.0) -> Value:
    def value(point: SweepPoint) -> float | None:
        found = point.value(name)
        return None if found is None else found * factor

    return value


def _slots(point: SweepPoint) -> float:
    return point.number(SLOTS) or 0.0


def _slot_rank(point: SweepPoint) -> str:
    """Return the rank that the slots are sized for: as set, else the largest of the mix."""
    stated = point.number("backend.max_lora_rank")
    if stated is not None:
        return f"{stated:.0f}"
    ranks = [
        int(word)
        for word in point.params.get("workload.ranks", "").strip("[]").split(",")
        if word.strip().isdigit()
    ]
    return str(max(ranks, default=0))
