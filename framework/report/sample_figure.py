"""What a run sampled over time, as one figure: a panel for each quantity, all with the same time axis."""

from __future__ import annotations

from typing import Any

from framework.contracts import Figure, StoreReader
from framework.store.views.results_view import literal

_MOST_PANELS = 8
_MOST_POINTS = 1000
_PANEL_PX = 120

# Of a longer series each stretch of time shows its lowest and its highest value, so that no peak is lost.
_SERIES = f"""
WITH mine AS (SELECT name, t_s, value FROM samples WHERE run_id = ? AND value IS NOT NULL),
spans AS (SELECT name, count(*) AS n, min(t_s) AS first_s, greatest(max(t_s) - min(t_s), 1e-9) AS span_s
          FROM mine GROUP BY name),
placed AS (SELECT m.name, m.t_s, m.value, s.n, s.n > {_MOST_POINTS} AS thinned,
                  CASE WHEN thinned THEN floor((m.t_s - s.first_s) / s.span_s * {_MOST_POINTS // 2})
                       ELSE m.t_s END AS place
           FROM mine m JOIN spans s USING (name))
SELECT name, any_value(n) AS n, bool_or(thinned) AS thinned, min(value) AS low, max(value) AS high,
       arg_min(t_s, value) AS low_s, arg_max(t_s, value) AS high_s
FROM placed GROUP BY name, place ORDER BY name, place
"""


def sample_figure(store: StoreReader, run_id: str) -> Figure | None:
    """Return the figure of a run's `samples`; None without any. Quantities that never changed are named only."""
    series: dict[str, list[tuple[float, float]]] = {}
    counted: dict[str, tuple[int, bool]] = {}
    for row in store.query(_SERIES, [run_id]).to_pylist():
        ends = sorted({(row["low_s"], row["low"]), (row["high_s"], row["high"])})
        series.setdefault(row["name"], []).extend(ends)
        counted[row["name"]] = (row["n"], row["thinned"])
    if not series:
        return None
    constant = {name: points[0][1] for name, points in series.items() if len({y for _, y in points}) == 1}
    moving = [name for name in series if name not in constant]
    shown = (moving or list(series))[:_MOST_PANELS]
    said = [f"n = {', '.join(f'{counted[name][0]:,} ({name})' for name in shown)}."]
    if any(counted[name][1] for name in shown):
        said.append("Of each stretch of time the lowest and the highest value are drawn.")
    if constant:
        said.append(f"Constant: {', '.join(f'{name} = {value:g}' for name, value in constant.items())}.")
    if len(moving) > len(shown):
        said.append(f"Not shown: {', '.join(moving[len(shown) :])}.")
    return Figure(
        "Samples over time",
        {
            "data": [_trace(name, series[name], number) for number, name in enumerate(shown)],
            "layout": _layout(shown),
        },
        "What the run sampled, over seconds from the first arrival; " + " ".join(said),
        sql=f"SELECT name, t_s, value FROM samples WHERE run_id = {literal(run_id)} ORDER BY ALL",
    )


def _trace(name: str, points: list[tuple[float, float]], number: int) -> dict[str, Any]:
    axis = "y" if number == 0 else f"y{number + 1}"
    return {
        "type": "scatter", "mode": "lines", "name": name, "showlegend": False, "yaxis": axis,
        "x": [x for x, _ in points], "y": [y for _, y in points], "line": {"width": 1.4},
    }  # fmt: skip


def _layout(shown: list[str]) -> dict[str, Any]:
    share, gap = 1.0 / len(shown), 0.06 / len(shown) if len(shown) > 1 else 0.0
    layout: dict[str, Any] = {
        "height": 90 + _PANEL_PX * len(shown),
        "xaxis": {"title": {"text": "time (s)"}, "anchor": "y" if len(shown) == 1 else f"y{len(shown)}"},
        "hovermode": "x unified",
    }
    for number, name in enumerate(shown):
        top = 1.0 - number * share
        layout["yaxis" if number == 0 else f"yaxis{number + 1}"] = {
            "domain": [max(0.0, top - share + gap), top],
            "title": {"text": name},
            "rangemode": "tozero",
        }
    return layout
