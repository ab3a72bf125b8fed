"""The figures of one page: numbered, in the page's colours, each with its n, its band and its SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.analysis.number_format import count_noun
from framework.contracts import Figure
from framework.report.html.figure_spec import SHOWN_FIRST, plotly_spec, series_of
from framework.report.series_colours import SeriesColours
from framework.store.views.results_view import literal

_STATES_N = re.compile(r"\bn = \d")


@dataclass(frozen=True)
class ShownFigure:
    """A figure as the page shows it.

    Attributes:
        spec: for plotly.js.
        count: n in words; empty if the caption has it.
        band: what is known of the uncertainty of the values.
        sql: gives what is drawn; empty if nothing of a store is.
        first, waiting: series drawn at first, and those that wait in the legend.
    """

    number: int
    spec: Mapping[str, Any]
    count: str
    band: str
    sql: str
    first: int
    waiting: int


class PageFigures:
    """Numbers the figures of a page in the order in which they are shown.

    Args:
        colours: of their series.
        runs: condition that is true of the rows of `runs` that the page is about; empty for none.
    """

    def __init__(self, colours: SeriesColours, runs: str = "") -> None:
        self._colours, self._runs, self._number = colours, runs, 0

    def shown(self, figure: Figure) -> ShownFigure:
        """Return the next figure."""
        self._number += 1
        spec = plotly_spec(figure, self._colours)
        return ShownFigure(
            self._number,
            spec,
            "" if _STATES_N.search(figure.caption) else _count(spec["data"]),
            _band(figure),
            figure.sql or self._sql(figure.metrics),
            SHOWN_FIRST,
            max(0, len(series_of(figure)) - SHOWN_FIRST),
        )

    def _sql(self, metrics: Sequence[str]) -> str:
        if not self._runs:
            return ""
        mine = f"run_id IN (SELECT run_id FROM runs WHERE {self._runs})"
        if not metrics:
            return f"SELECT * FROM results WHERE {mine}"
        names = ", ".join(map(literal, metrics))
        return (
            "SELECT m.name AS metric, m.value, m.low, m.high, r.* FROM metrics m JOIN results r USING (run_id)"
            f" WHERE m.name IN ({names}) AND {mine}"
        )


def _count(traces: Sequence[Mapping[str, Any]]) -> str:
    """Return n, the values drawn: points of scatters, bars, cells."""
    drawn = sum(_values(trace) for trace in traces)
    return f"n = {count_noun(drawn, 'value')}."


def _values(trace: Mapping[str, Any]) -> int:
    if trace.get("z"):
        return sum(value is not None for row in trace["z"] for value in row)
    values = trace.get("y") or trace.get("x") or trace.get("values") or ()
    return sum(value is not None for value in values)


def _band(figure: Figure) -> str:
    if figure.band:
        return figure.band
    bars = any("error_y" in trace or "error_x" in trace for trace in figure.spec.get("data") or ())
    return "" if bars else "Single values, without a band."
