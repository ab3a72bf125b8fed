"""Figures of a serving study as Plotly JSON specifications; nothing of Plotly is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.contracts import Figure
from framework.quantity import Quantity
from framework_serving.sweeps.sweep_points import BATCH, Curve, SweepPoint, variant

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "2px,6px", "8px,3px")
"""One a variant (workload, chunked prefill, replicas)."""


@dataclass(frozen=True)
class Axis:
    """Title with unit, whether it is logarithmic, and whether it is marked at powers of two."""

    title: str
    log: bool = False
    powers_of_two: bool = False

    def spec(self) -> dict[str, Any]:
        """Return Plotly's axis."""
        found: dict[str, Any] = {"title": {"text": self.title}, "automargin": True}
        if self.log:
            found["type"] = "log"
            if self.powers_of_two:
                found["tickvals"] = [2**power for power in range(14)]
        else:
            found["rangemode"] = "tozero"
        return found


BATCH_AXIS = Axis("max_num_seqs (requests per replica)", log=True, powers_of_two=True)


@dataclass(frozen=True)
class Style:
    """How each curve looks, the same in every figure of a report.

    The page gives a model its colour. The workload that most of its curves' points serve is its main one; dashes mark
    variants apart (chunked prefill, replicas), and curves of other workloads wait in the legend for a click.

    Attributes:
        dashes: by variant.
        main_workloads: by model.
        labels: what distinguishes a curve from others of its model, by the runs of its first point.
    """

    dashes: Mapping[str, str]
    main_workloads: Mapping[str, str]
    labels: Mapping[tuple[str, ...], str]

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> Style:
        """Deal dashes to the variants of these curves, in order."""
        points: dict[str, Counter[str]] = {}
        for curve in curves:
            points.setdefault(curve.first.model, Counter())[curve.first.workload] += len(curve.points)
        firsts = sorted(
            (curve.first for curve in curves), key=lambda p: (p.replicas, p.chunked_prefill, not p.mps)
        )
        variants = list(dict.fromkeys(variant(point) for point in firsts))
        return cls(
            {name: DASHES[index % len(DASHES)] for index, name in enumerate(variants)},
            {model: counts.most_common(1)[0][0] for model, counts in points.items()},
            _labels(curves),
        )

    def line(self, point: SweepPoint) -> dict[str, Any]:
        """Return Plotly's line for a curve."""
        return {"dash": self.dashes[variant(point)], "width": 2}

    def is_main(self, point: SweepPoint) -> bool:
        """Whether a point serves its model's main workload."""
        return self.main_workloads[point.model] == point.workload

    def visible(self, point: SweepPoint) -> bool | str:
        """Return Plotly's `visible`: shown, or a legend entry to click."""
        return True if self.is_main(point) else "legendonly"

    def name(self, point: SweepPoint) -> str:
        """Return a curve's legend entry: model, variant, and the workload if it is not the main one."""
        label = variant(point, with_workload=not self.is_main(point))
        return " · ".join(filter(None, (point.model, label, self.labels.get(point.run_ids))))


def _labels(curves: Sequence[Curve]) -> dict[tuple[str, ...], str]:
    """Return, for curves of one model, workload and variant, the parameters in which they differ (at most two)."""
    groups: dict[tuple[str, str], list[SweepPoint]] = {}
    for curve in [curve for curve in curves if len(curve.points) > 1] or curves:
        key = (curve.first.model, variant(curve.first, with_workload=True))
        groups.setdefault(key, []).append(curve.first)
    labels = {}
    for alike in groups.values():
        names = sorted({name for point in alike for name in point.params} - {BATCH})
        differing = [name for name in names if len({point.params.get(name) for point in alike}) > 1][:2]
        for point in alike:
            parts = [
                f"{name.rpartition('.')[2]} {point.params.get(name, '–').removesuffix('.0')}"
                for name in differing
            ]
            labels[point.run_ids] = ", ".join(parts)
    return labels


def batch_chart(
    title: str,
    axis: Axis,
    metric: str,
    curves: Sequence[Curve],
    style: Style,
    caption: str,
    factor: float = 1.0,
) -> Figure | None:
    """Return a metric against the batch ceiling, one line a curve; None if no run holds it.

    Open markers are runs in which requests were preempted. Whiskers are the run's own interval.
    """
    lines = []
    for curve in curves:
        points = [(point, found) for point in curve.points if (found := _scaled(point, metric, factor))]
        if len(points) > 1:
            lines.append(_line(points, curve, style, axis.title))
    if not lines:
        return None
    spec = {"data": lines, "layout": layout(BATCH_AXIS, axis)}
    whiskers = any("error_y" in line for line in lines)
    band = "Whiskers: the run's own interval." if whiskers else ""
    return Figure(title, spec, caption, metrics=(metric,), band=band)


def _scaled(point: SweepPoint, metric: str, factor: float) -> Quantity | None:
    """Return a metric in the unit of the axis with its interval; None if the point lacks it."""
    found = point.metrics.get(metric)
    if found is None:
        return None
    low, high = (None if bound is None else bound * factor for bound in (found.low, found.high))
    return Quantity(found.value * factor, low, high)


def tradeoff_chart(
    curves: Sequence[Curve],
    front: Sequence[SweepPoint],
    advised: Sequence[tuple[SweepPoint, str]],
    style: Style,
) -> Figure | None:
    """Return throughput against latency: all curves, the Pareto front of each model, and the advised points."""
    traces = []
    for curve in [*(curve for curve in curves if len(curve.points) > 1), *_single_runs(curves)]:
        points = [
            (point, rate, latency)
            for point in curve.points
            if (rate := point.value("total_tok_s")) is not None
            and (latency := point.value("itl_mean_ms")) is not None
        ]
        if not points:
            continue
        traces.append(
            {
                "type": "scatter",
                "mode": "markers" if curve.unordered else "lines+markers",
                "name": f"{curve.first.model} · single runs" if curve.unordered else style.name(curve.first),
                "visible": style.visible(curve.first),
                "legendgroup": curve.first.model,
                "x": [latency for _, _, latency in points],
                "y": [rate for _, rate, _ in points],
                "line": style.line(curve.first) | {"width": 1},
                "marker": {"symbol": [_symbol(point) for point, _, _ in points], "size": 6},
                "text": [hover(point) for point, _, _ in points],
                "hovertemplate": "%{text}<br>%{x:.3g} ms, %{y:.4g} tok/s<extra></extra>",
            }
        )
    if not traces:
        return None
    marked = [point for point in front if style.is_main(point)]
    traces.append(_marks(marked, "on the Pareto front", "circle-open", 10, ""))
    by_advice: dict[str, list[SweepPoint]] = {}
    for point, label in advised:
        if not style.is_main(point):
            continue
        by_advice.setdefault(label, []).append(point)
    symbols = ("star", "star-diamond", "diamond", "hexagram")
    for index, (label, points_advised) in enumerate(by_advice.items()):
        traces.append(
            _marks(points_advised, f"advised: {label}", symbols[index % len(symbols)], 13, "#FFC400")
        )
    x, y = Axis("mean inter-token latency (ms)", log=True), Axis("total throughput (tok/s, input + output)")
    return Figure(
        "Throughput against latency",
        {"data": [trace for trace in traces if trace["x"]], "layout": layout(x, y)},
        "Up and left is better. Ringed points are on the front of their model and workload (runs with preemptions "
        "are never on it); filled gold marks are recommended by the advisors. Only the main workload "
        "of each model has marks.",
        metrics=("total_tok_s", "itl_mean_ms"),
    )


def _single_runs(curves: Sequence[Curve]) -> list[Curve]:
    """Return the points that no sweep over the batch holds, gathered by model and workload."""
    groups: dict[tuple[str, str], list[SweepPoint]] = {}
    for curve in curves:
        if len(curve.points) == 1:
            groups.setdefault((curve.first.model, curve.first.workload), []).append(curve.first)
    return [Curve(tuple(points), unordered=True) for points in groups.values()]


def layout(x: Axis, y: Axis) -> dict[str, Any]:
    """Return axes and height; the report's own theme does the rest."""
    return {"xaxis": x.spec(), "yaxis": y.spec(), "height": 460}


def _line(
    points: Sequence[tuple[SweepPoint, Quantity]], curve: Curve, style: Style, title: str
) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": style.name(curve.first),
        "visible": style.visible(curve.first),
        "legendgroup": curve.first.model,
        "x": [point.max_num_seqs for point, _ in points],
        "y": [found.value for _, found in points],
        "line": style.line(curve.first),
        "marker": {"symbol": [_symbol(point) for point, _ in points], "size": 7},
        "text": [hover(point) for point, _ in points],
        "hovertemplate": f"%{{text}}<br>{title}: %{{y:.4g}}<extra></extra>",
    }
    if all(found.has_interval for _, found in points):
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [(found.high or 0) - found.value for _, found in points],
            "arrayminus": [found.value - (found.low or 0) for _, found in points],
            "thickness": 1,
            "width": 2,
        }
    return trace


def _marks(points: Sequence[SweepPoint], name: str, symbol: str, size: int, fill: str) -> dict[str, Any]:
    known = [point for point in points if point.value("itl_mean_ms") and point.value("total_tok_s")]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point.value("itl_mean_ms") for point in known],
        "y": [point.value("total_tok_s") for point in known],
        "marker": {"symbol": symbol, "size": size, "line": {"width": 1.5, "color": "#7F7F7F"}}
        | ({"color": fill} if fill else {"color": "#7F7F7F"}),
        "text": [hover(point) for point in known],
        "hovertemplate": f"%{{text}}<br>{name}<extra></extra>",
    }


def _symbol(point: SweepPoint) -> str:
    return "circle-open" if point.preempted else "circle"


def hover(point: SweepPoint) -> str:
    """Return what a figure says of a point under the pointer: setup, batch, what really ran, preemptions."""
    running = point.value("running_mean")
    parts = [f"{point.model}, {variant(point)}", f"B = {point.max_num_seqs}"]
    if running is not None:
        parts.append(f"{running:.0f} running on average")
    if point.preempted:
        parts.append(f"{point.value('preemptions'):.0f} preemptions")
    return "<br>".join(parts)
