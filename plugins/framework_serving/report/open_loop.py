"""Open-loop load against the plateau of the same server: what latency and energy cost below saturation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from framework.contracts import Figure, ReportSection, TableBlock
from framework_serving.report.charts import Axis, layout
from framework_serving.sweeps.sweep_points import SweepPoint, variant

_ARRIVALS = "workload.arrivals."
_LOAD_AXIS = Axis("offered load (% of the same server's throughput under a burst)")


@dataclass(frozen=True)
class LoadedPoint:
    """A run under a stream of requests, and how much of the burst's throughput it was asked for."""

    point: SweepPoint
    load: float
    rate_rps: float


def loaded_points(points: Sequence[SweepPoint]) -> list[list[LoadedPoint]]:
    """Return streams by server, in order of load; those without a burst run of the same server are left out."""
    plateaus = {
        _server(point): rate
        for point in points
        if point.params.get(f"{_ARRIVALS}kind") == "burst" and (rate := point.value("total_tok_s"))
    }
    groups: dict[frozenset[tuple[str, str]], list[LoadedPoint]] = {}
    for point in points:
        key, rate_rps = _server(point), point.number(f"{_ARRIVALS}rate_rps")
        served, tokens = point.value("requests_s"), point.value("total_tok_s")
        if point.params.get(f"{_ARRIVALS}kind") == "burst" or not rate_rps or not served or not tokens:
            continue
        if key in plateaus:
            load = rate_rps * (tokens / served) / plateaus[key]
            groups.setdefault(key, []).append(LoadedPoint(point, load, rate_rps))
    return [sorted(group, key=lambda item: item.load) for group in groups.values()]


def open_loop_section(points: Sequence[SweepPoint]) -> ReportSection | None:
    """Return latency, goodput and energy against load; None unless some server was run at two loads."""
    groups = [group for group in loaded_points(points) if len(group) > 1]
    if not groups:
        return None
    charts = [
        _chart("Time to first token against load", Axis("TTFT, p99 (ms)", log=True), groups,
               lambda item: item.point.value("ttft_p99_ms"), ("ttft_p99_ms",),
               "Below saturation it is the time of service. Above saturation it is a queue that "
               "grows as long as the load continues."),
        _chart("Inter-token latency against load", Axis("ITL, p99 (ms)", log=True), groups,
               lambda item: item.point.value("itl_p99_ms"), ("itl_p99_ms",),
               "The batch grows with the load, and so does the time of a step."),
        _chart("Requests within their objectives", Axis("good requests (% of all requests)"), groups,
               _good_share, ("goodput_requests_s", "requests_s", "completed"),
               "Requests that met workload.slo (time to first token, time per output token)."),
        _chart("Energy per token against load", Axis("energy (J per input + output token)", log=True), groups,
               lambda item: item.point.value("energy_j_per_token"), ("energy_j_per_token",),
               "At low load, an almost idle GPU uses most of the energy."),
    ]  # fmt: skip
    blocks: list[Figure | TableBlock | str] = [chart for chart in charts if chart is not None]
    return ReportSection("Below saturation", [*blocks, _table(groups)], order=27)


def _server(point: SweepPoint) -> frozenset[tuple[str, str]]:
    """Return what must agree for a burst to be a stream's plateau: all but arrivals, objectives and seed."""
    ignored = (_ARRIVALS, "workload.slo.", "workload.seed")
    return frozenset(item for item in point.params.items() if not item[0].startswith(ignored))


def _good_share(item: LoadedPoint) -> float | None:
    good = item.point.value("goodput_requests_s")
    served = item.point.value("requests_s")
    completed = item.point.value("completed")
    if good is None or not served or not completed:
        return None
    sent = item.point.number("workload.num_requests") or completed
    return 100 * good / served * completed / sent


def _chart(
    title: str,
    axis: Axis,
    groups: Sequence[Sequence[LoadedPoint]],
    value: Callable[[LoadedPoint], float | None],
    metrics: Sequence[str],
    caption: str,
) -> Figure | None:
    traces: list[dict[str, Any]] = []
    for group in groups:
        shown = [(item, found) for item in group if (found := value(item)) is not None]
        if len(shown) > 1:
            first = group[0].point
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": f"{first.model} · B = {first.max_num_seqs}",
                    "x": [100 * item.load for item, _ in shown],
                    "y": [found for _, found in shown],
                    "legendgroup": first.model,
                    "line": {"width": 2},
                    "text": [
                        f"{first.model}, {variant(first)}<br>{item.rate_rps:g} requests/s"
                        for item, _ in shown
                    ],
                    "hovertemplate": f"%{{text}}<br>{axis.title}: %{{y:.4g}}<extra></extra>",
                }
            )
    spec = {"data": traces, "layout": layout(_LOAD_AXIS, axis)}
    return Figure(title, spec, caption, metrics=metrics) if traces else None


def _table(groups: Sequence[Sequence[LoadedPoint]]) -> TableBlock:
    rows = [
        (
            item.point.model,
            item.point.max_num_seqs,
            item.rate_rps,
            100 * item.load,
            item.point.value("total_tok_s"),
            item.point.value("ttft_p50_ms"),
            item.point.value("ttft_p99_ms"),
            item.point.value("itl_p99_ms"),
            _good_share(item),
            item.point.value("running_mean"),
            item.point.value("power_mean_w"),
            item.point.value("energy_j_per_token"),
        )
        for group in groups
        for item in group
    ]
    return TableBlock(
        "Open-loop load",
        (
            "model", "batch", "requests/s", "load %", "tok/s", "p50 TTFT ms", "p99 TTFT ms", "p99 ITL ms", "good %",
            "running", "W", "J/token",
        ),
        rows,
        "Load: requested tokens per second relative to the throughput of the same server when all "
        "requests arrive at once.",
    )  # fmt: skip
