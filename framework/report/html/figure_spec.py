"""A figure's specification as plotly.js takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framework.contracts import Figure
from framework.report.series_colours import SeriesColours

SHOWN_FIRST = 8
"""Series of a figure that are drawn at first; the others wait in its legend."""

_DIGITS = 7


def plotly_spec(figure: Figure, colours: SeriesColours) -> dict[str, Any]:
    """Return data and layout as JSON values, series coloured, without a title that repeats the heading above."""
    layout = dict(figure.spec.get("layout") or {})
    title = layout.get("title")
    if (title.get("text") if isinstance(title, Mapping) else title) == figure.title:
        del layout["title"]
    data = _plain(figure.spec.get("data") or [])
    waiting = set(series_of(figure)[SHOWN_FIRST:])
    for trace in data:
        if _series(trace) in waiting and trace.get("visible", True) is True:
            trace["visible"] = "legendonly"
    colours.paint(data)
    return {"data": data, "layout": _plain(layout)}


def series_of(figure: Figure) -> list[str]:
    """Return the entries of a figure's legend, in order; traces of one legend group are one series."""
    named = (_series(trace) for trace in figure.spec.get("data") or [] if trace.get("showlegend", True))
    return list(dict.fromkeys(name for name in named if name))


def _series(trace: Mapping[str, Any]) -> str | None:
    name = trace.get("legendgroup") or trace.get("name")
    return None if name is None else str(name)


def _plain(value: Any) -> Any:
    """Return a JSON value: arrays as lists, NaN and infinities as null (a gap in a plot), titles as objects.

    Numbers have the digits that a plot and its CSV can use: half of what they take in the page is behind those.

    People write `"title": "batch"`; plotly.js since version 3 takes `"title": {"text": "batch"}` only.
    """
    if isinstance(value, Mapping):
        return {
            str(key): {"text": item} if key == "title" and isinstance(item, str) else _plain(item)
            for key, item in value.items()
        }
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)
