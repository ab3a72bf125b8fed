"""The colour of each thing that figures draw as a series: one colour for one name, in every figure of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from framework.contracts import StoreReader

PALETTE = (
    *("#0072b2", "#d55e00", "#009e73", "#c9579b", "#a97a00", "#2e9cca"),
    *("#7b6bd6", "#b03a5b", "#6f8f1f", "#95634a", "#2f8f86", "#a85fd0"),
)
"""Okabe and Ito's colours, for all kinds of colour vision, and more; those that were too light or too dark stand
out on a white and on a dark page now (contrast 3:1)."""
NEUTRAL = "#6b7a8f"
"""Of a series without a name."""
OWN = "series"
"""Written for a colour in a trace, it is that of the trace's series: for the ring of a mark with another filling."""
THING = "thing"
"""Key of a trace that names what it shows, where neither its legend group nor its name does."""
_ITS_OWN = {"color", "coloraxis", "colorscale", "colorbar"}
_COLOURED = {
    **dict.fromkeys(("scatter", "scattergl", "box", "violin"), ("line", "marker")),
    **dict.fromkeys(("bar", "histogram"), ("marker",)),
}


class SeriesColours:
    """Deals colours to names in the order in which they are seen; a name keeps its colour.

    Args:
        names: dealt first, so that they have the same colour on all pages of one store.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._dealt: dict[str, str] = {}
        self._lock = Lock()  # pages of one server are made side by side
        self.of(names)

    def of(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the colours of the names of one figure; a new name has one that the figure is not using yet."""
        wanted = list(dict.fromkeys(names))
        with self._lock:
            here = {self._dealt[name] for name in wanted if name in self._dealt}
            for name in wanted:
                if name not in self._dealt:
                    used = Counter(self._dealt.values())
                    self._dealt[name] = min(PALETTE, key=lambda colour: (colour in here, used[colour]))
                    here.add(self._dealt[name])
            return {name: self._dealt[name] for name in wanted}

    def paint(self, traces: list[dict[str, Any]]) -> None:
        """Give the traces of a figure their colours, those that have one of their own excepted."""
        things = [_thing(trace) for trace in traces]
        colours = self.of(thing for thing in things if thing)
        for trace, thing in zip(traces, things, strict=True):
            colour = colours.get(thing, NEUTRAL)
            parts = _COLOURED.get(trace.get("type", "scatter"), ())
            if not any(set(trace.get(part) or {}) & _ITS_OWN for part in parts):
                for part in parts:
                    trace[part] = {**(trace.get(part) or {}), "color": colour}
            _replace(trace, colour)


def store_colours(store: StoreReader) -> SeriesColours:
    """Return the colours for pages about a store: the models in it come first."""
    models = store.query("SELECT DISTINCT model FROM runs WHERE model IS NOT NULL ORDER BY 1")
    return SeriesColours(models.column(0).to_pylist())


def _thing(trace: dict[str, Any]) -> str:
    """Return what a trace shows, "" if nothing says it."""
    return str(trace.pop(THING, "") or trace.get("legendgroup") or trace.get("name") or "")


def _replace(part: dict[str, Any], colour: str) -> None:
    for key, value in part.items():
        if isinstance(value, dict):
            _replace(value, colour)
        elif key == "color" and value == OWN:
            part[key] = colour
