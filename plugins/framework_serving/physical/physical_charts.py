"""Figures of a run's physical side: time by part, memory bandwidth, arithmetic intensity, roofline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from framework.contracts import Figure
from framework_serving.physical.roofline_shares import PARTS, Kernels, RunPhysics
from framework_serving.report.charts import BATCH_AXIS, Axis, Style, batch_chart, hover, layout
from framework_serving.sweeps.sweep_points import Curve

_PANEL_HEIGHT_PX, _GAP_HEIGHT_PX, _GAP_WIDTH = 210, 64, 0.05
_TOP = 0.95  # of the plot's height: the legend is above, and the first panels' titles below it
_INTENSITY = Axis("arithmetic intensity (FLOP/byte)", log=True)


def time_chart(curves: Sequence[Curve]) -> Figure | None:
    """Return the share of time in each part, stacked over the batch, one panel a curve; None if no run reports it."""
    told = [
        curve for curve in curves if all(point.value("time_kv_share") is not None for point in curve.points)
    ]
    if not told:
        return None
    columns = min(2 if len(told) <= 4 else 3, len(told))
    rows = -(-len(told) // columns)
    height = rows * _PANEL_HEIGHT_PX + (rows - 1) * _GAP_HEIGHT_PX
    spec: dict[str, Any] = {"barmode": "stack", "height": height + 150, "annotations": [], "bargap": 0.12}
    traces: list[dict[str, Any]] = []
    for number, curve in enumerate(told):
        suffix = "" if number == 0 else str(number + 1)
        spec |= _panel(divmod(number, columns), suffix, columns, rows, spec["annotations"], curve)
        batches = [str(point.max_num_seqs) for point in curve.points]
        for metric, name in PARTS:
            values = [100 * (point.value(metric) or 0.0) for point in curve.points]
            if max(values) >= 0.05:
                traces.append(
                    {
                        "type": "bar",
                        "name": name,
                        "legendgroup": name,
                        "showlegend": not any(trace["name"] == name for trace in traces),
                        "x": batches,
                        "y": values,
                        "xaxis": f"x{suffix}",
                        "yaxis": f"y{suffix}",
                        "hovertemplate": f"{curve.first.model}, B = %{{x}}<br>{name}: %{{y:.1f}} %<extra></extra>",
                    }
                )
    return Figure(
        "Where the time goes",
        {"data": traces, "layout": spec},
        "Shares of the run's time over the configured batch size. The time to read the weights is "
        "shared by the whole "
        "batch, so its share falls. The time to read keys and values (attention) and the host's work "
        "for each request "
        "are not shared, so their shares grow.",
        metrics=tuple(metric for metric, _ in PARTS),
    )


def _panel(
    place: tuple[int, int],
    suffix: str,
    columns: int,
    rows: int,
    annotations: list[dict[str, Any]],
    curve: Curve,
) -> dict[str, Any]:
    """Return the axes of the panel in this row and column, and put its title above it."""
    row, column = place
    whole_px = rows * _PANEL_HEIGHT_PX + (rows - 1) * _GAP_HEIGHT_PX
    width, height = (1 - _GAP_WIDTH * (columns - 1)) / columns, _TOP * _PANEL_HEIGHT_PX / whole_px
    left = column * (width + _GAP_WIDTH)
    top = _TOP * (1 - row * (_PANEL_HEIGHT_PX + _GAP_HEIGHT_PX) / whole_px)
    title = {"text": f"<b>{curve.first.model}</b>", "showarrow": False, "yanchor": "bottom"}
    annotations.append({**title, "xref": "paper", "yref": "paper", "x": left + width / 2, "y": top})
    return {
        f"xaxis{suffix}": {
            "domain": [left, left + width],
            "anchor": f"y{suffix}",
            "type": "category",
            "title": {"text": "max_num_seqs (requests)" if row == rows - 1 else ""},
        },
        f"yaxis{suffix}": {
            "domain": [max(0.0, top - height), top],
            "anchor": f"x{suffix}",
            "range": [0, 100],
            "title": {"text": "time (%)" if column == 0 else ""},
        },
    }


def bandwidth_chart(curves: Sequence[Curve], style: Style) -> Figure | None:
    """Return memory traffic against the batch, with the peak of each GPU as a line; None if no run reports it."""
    figure = batch_chart(
        "Memory bandwidth against batch",
        Axis("memory read (TB/s, mean over the run)"),
        "dram_read_tb_s",
        curves,
        style,
        "Bytes of the weights once per step, plus the keys and values read for every generated token, over the whole "
        "run including the host's time. Dashed: the GPU's peak. The traffic hardly changes while the "
        "throughput grows: "
        "with small batches it is mostly weights, with large batches mostly keys and values.",
    )
    if figure is None:
        return None
    peaks = {curve.first.gpu: curve.first.number("gpu.bandwidth_tb_s") for curve in curves}
    lines = [
        _level(min(batches), max(batches), peak, f"peak of {gpu}")
        for gpu, peak in peaks.items()
        if peak and (batches := [p.max_num_seqs for c in curves if c.first.gpu == gpu for p in c.points])
    ]
    return replace(figure, spec={**figure.spec, "data": [*figure.spec["data"], *lines]})


def intensity_chart(found: Sequence[RunPhysics]) -> Figure | None:
    """Return arithmetic intensity against the batch: attention flat, products growing; None if no run reports it."""
    traces = []
    for model in _models(found):
        own = [item for item in found if item.point.model == model]
        for name, dash, pick in _KINDS:
            traces.append(
                _line(
                    own,
                    f"{model} · {name}",
                    dash,
                    [item.point.max_num_seqs for item in own],
                    [pick(item).intensity for item in own],
                )
            )
    if not traces:
        return None
    batches = [item.point.max_num_seqs for item in found]
    for gpu, ridge in _ridges(found).items():
        traces.append(_level(min(batches), max(batches), ridge, f"ridge of {gpu}"))
    axis = Axis("arithmetic intensity (FLOP/byte)", log=True)
    return Figure(
        "Arithmetic intensity against batch",
        {"data": traces, "layout": layout(BATCH_AXIS, axis)},
        "Computed from the model's shape and the tokens of the run. Matrix products (solid) use each weight once for "
        "every request in the batch. Decode attention (dashed) uses each cached key and value once "
        "for each query head "
        "that shares it, at any batch size. Below the ridge (dotted), memory is the limit; above it, arithmetic.",
    )


def roofline_chart(found: Sequence[RunPhysics]) -> Figure | None:
    """Return operations per second against arithmetic intensity below the GPU's roofs; None if no run reports it."""
    traces = []
    for model in _models(found):
        own = [item for item in found if item.point.model == model]
        for name, _, pick in _KINDS:
            kernels = [pick(item) for item in own]
            line = _line(
                own,
                f"{model} · {name}",
                "solid",
                [item.intensity for item in kernels],
                [item.tflops for item in kernels],
            )
            line["marker"]["symbol"] = "circle" if name == "products" else "x"
            traces.append(line)
    if not traces:
        return None
    return Figure(
        "Roofline",
        {
            "data": [*traces, *_roofs(found)],
            "layout": layout(_INTENSITY, Axis("rate reached (TFLOP/s)", log=True)),
        },
        "One mark for each run; the batch grows along a line. Circles: matrix products with their "
        "small kernels, over all "
        "steps; crosses: decode attention. Grey: the roofs of the GPU's datasheet. The products move up along "
        "the roof; attention stays at one place on the slope. The twin assumes that attention "
        "reaches a constant share "
        "of the bandwidth; if the model has a profile, this share was fitted to measured runs. A "
        "cross above the roof "
        "means that the fitted time of attention is shorter than the memory allows.",
    )


def _attention(item: RunPhysics) -> Kernels:
    return item.attention


def _products(item: RunPhysics) -> Kernels:
    return item.products


_KINDS = (("products", "solid", _products), ("attention", "dash", _attention))


def _models(found: Sequence[RunPhysics]) -> list[str]:
    return list(dict.fromkeys(item.point.model for item in found))


def _ridges(found: Sequence[RunPhysics]) -> dict[str, float]:
    """Return the intensity at which each GPU's roofs meet."""
    return {gpu: rate / bandwidth for gpu, (bandwidth, rate) in _peaks(found).items()}


def _peaks(found: Sequence[RunPhysics]) -> dict[str, tuple[float, float]]:
    """Return (TB/s, TFLOP/s) of each GPU whose datasheet the runs carry."""
    peaks = {}
    for item in found:
        bandwidth, rate = item.point.number("gpu.bandwidth_tb_s"), item.point.number("gpu.fp16_tflops")
        if bandwidth and rate:
            peaks[item.point.gpu] = (bandwidth, rate)
    return peaks


def _roofs(found: Sequence[RunPhysics]) -> list[dict[str, Any]]:
    reached = [pick(item).intensity for item in found for _, _, pick in _KINDS]
    roofs = []
    for gpu, (bandwidth, rate) in _peaks(found).items():
        ridge = rate / bandwidth
        xs = [min(0.5, *reached), ridge, max(4 * ridge, *reached)]
        roofs.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"roofs of {gpu}",
                "x": xs,
                "y": [min(rate, bandwidth * x) for x in xs],
                "line": {"color": "#7F7F7F", "width": 2},
                "hoverinfo": "skip",
            }
        )
    return roofs


def _line(
    own: Sequence[RunPhysics], name: str, dash: str, x: Sequence[float], y: Sequence[float]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": own[0].point.model,
        "x": list(x),
        "y": list(y),
        "line": {"dash": dash, "width": 1.5},
        "marker": {"size": 6},
        "text": [hover(item.point) for item in own],
        "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    }


def _level(low: float, high: float, value: float, name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [low, high],
        "y": [value, value],
        "line": {"color": "#7F7F7F", "dash": "dot", "width": 2},
        "hoverinfo": "skip",
    }
