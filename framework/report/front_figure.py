"""The figure of a Pareto front: all settings faint, those on the front marked, with their bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from framework.analysis.number_format import format_value
from framework.analysis.objectives import Objective
from framework.analysis.setting_fronts import SettingFront, SettingPoint
from framework.contracts import Figure

SHOWN_FIRST = 8
_SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "hexagon", "pentagon")
"""Of the kinds that share their first value, and so their colour (workloads of one model)."""


def front_figure(
    fronts: Sequence[SettingFront],
    objectives: Sequence[Objective],
    parameters: Mapping[str, Mapping[str, str]],
    chosen: Sequence[str] = (),
    query: str = "",
) -> Figure:
    """Return the figure over the first two objectives (one objective: over the rank of the settings).

    Args:
        fronts: one a kind; those with an answer come first, in its order. The first eight are shown, the others
            wait in the legend.
        objectives: the axes: the second one across, the first one up.
        parameters: short name → run → value, for the texts on hover.
        chosen: keys of settings to mark as the answer.
        query: the SQL that gives the points.
    """
    places = {setting: place for place, setting in enumerate(chosen)}

    def place_of(front: SettingFront) -> int:
        return min((places.get(point.setting, len(places)) for point in front.points), default=len(places))

    traces: list[dict[str, Any]] = []
    alike: Counter[str] = Counter()
    for number, front in enumerate(sorted(fronts, key=place_of)):
        name = ", ".join(front.kind) or "settings"
        thing = front.kind[0] if front.kind else name
        shape = _SHAPES[alike[thing] % len(_SHAPES)]
        alike[thing] += 1
        visible: bool | str = True if number < SHOWN_FIRST else "legendonly"
        off = [point for point in front.points if not point.maybe_on_front]
        members = sorted(front.members, key=lambda point: _place(front, point, objectives)[0])
        shared = {"thing": thing, "legendgroup": name, "visible": visible}
        shared["hovertemplate"] = "%{text}<extra></extra>"
        if off:
            traces.append(
                {
                    **_places(front, off, objectives, parameters), **shared, "type": "scatter", "mode": "markers",
                    "name": f"{name}: beaten", "marker": {"symbol": shape, "opacity": 0.3, "size": 6},
                    "showlegend": False,
                }
            )  # fmt: skip
        bars = {
            axis: {
                "type": "data", "symmetric": False, "thickness": 1,
                "array": [max(0.0, (p.values[i].high or p.values[i].value) - p.values[i].value) for p in members],
                "arrayminus": [
                    max(0.0, p.values[i].value - (p.values[i].low or p.values[i].value)) for p in members
                ],
            }
            for axis, i in (("error_y", 0), ("error_x", 1))
            if i < len(objectives)
        }  # fmt: skip
        traces.append(
            {
                **_places(front, members, objectives, parameters), **shared, **bars, "type": "scatter",
                "mode": "markers", "name": name,
                "marker": {
                    "size": 9,
                    "symbol": [shape if point.on_front else f"{shape}-open" for point in members],
                },
            }
        )  # fmt: skip
        marked = [point for point in front.points if point.setting in chosen]
        if marked:
            traces.append(
                {
                    **_places(front, marked, objectives, parameters), **shared, "type": "scatter",
                    "mode": "markers", "name": f"{name}: the answer", "showlegend": False,
                    "marker": {"symbol": "star", "size": 18, "line": {"width": 2}},
                }
            )  # fmt: skip
    up = objectives[0]
    across = _axis(objectives[1]) if len(objectives) > 1 else "rank"
    total = sum(len(front.points) for front in fronts)
    caption = (
        f"{total} settings within the limits (n = {sum(len(p.run_ids) for f in fronts for p in f.points)} runs). "
        "Filled: nothing has better values; open: beaten by less than the bands of both; faint: beaten."
        + (" Star: the answer." if chosen else "")
    )
    layout = {
        "xaxis": {"title": {"text": across}, "type": "log" if _spread_wide(fronts, objectives) else "linear"},
        "yaxis": {"title": {"text": _axis(up)}, "rangemode": "tozero"},
        "hovermode": "closest",
        "legend": {"groupclick": "togglegroup"},
    }
    return Figure(
        f"{up.metric} against {objectives[1].metric if len(objectives) > 1 else 'rank'}",
        {"data": traces, "layout": layout},
        caption,
        sql=query,
        band="Bars: band of each value (repeats, the run's own interval, or the noise floor).",
    )


def _spread_wide(fronts: Sequence[SettingFront], objectives: Sequence[Objective]) -> bool:
    """Return whether the values across span more than two orders of magnitude, all of them positive."""
    if len(objectives) < 2:
        return False
    values = [point.values[1].value for front in fronts for point in front.points]
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)


def _axis(item: Objective) -> str:
    return f"{item.metric}{f' [{item.unit}]' if item.unit else ''} ({item.better} is better)"


def _place(front: SettingFront, point: SettingPoint, objectives: Sequence[Objective]) -> tuple[float, float]:
    across = point.values[1].value if len(objectives) > 1 else float(front.points.index(point) + 1)
    return across, point.values[0].value


def _places(
    front: SettingFront,
    points: Sequence[SettingPoint],
    objectives: Sequence[Objective],
    parameters: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    places = [_place(front, point, objectives) for point in points]
    texts = [
        "<br>".join(
            [
                *(
                    f"{name} = {values[point.run_ids[0]]}"
                    for name, values in parameters.items()
                    if point.run_ids[0] in values
                ),
                *(
                    f"{item.metric}: {format_value(value.value, item.unit)}"
                    for item, value in zip(objectives, point.values, strict=True)
                ),
            ]
        ).replace("<", "&lt;").replace("&lt;br>", "<br>")
        for point in points
    ]  # fmt: skip
    return {"x": [x for x, _ in places], "y": [y for _, y in places], "text": texts}
