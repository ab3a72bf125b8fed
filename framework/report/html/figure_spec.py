"""A figure's specification as plotly.js takes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framework.contracts import Figure


def plotly_spec(figure: Figure) -> dict[str, Any]:
    """Return data and layout as JSON values, without a title that repeats the heading above the plot."""
    layout = dict(figure.spec.get("layout") or {})
    title = layout.get("title")
    if (title.get("text") if isinstance(title, Mapping) else title) == figure.title:
        del layout["title"]
    return {"data": _plain(figure.spec.get("data") or []), "layout": _plain(layout)}


def _plain(value: Any) -> Any:
    """Return a JSON value: arrays as lists, NaN and infinities as null (a gap in a plot), titles as objects.

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
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)
