"""The report of a maritime study: map of tracks, emission map, totals by type, how well intervals hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework_maritime.study.comparison_tables import tables, totals_table
from framework_maritime.study.stored_runs import StoredRun, stored_runs

_LONG = ("at berth or at anchor", "slow", "faster", "fastest")
_PLACES = {
    "xaxis": {"title": {"text": "longitude, degrees"}},
    "yaxis": {"title": {"text": "latitude, degrees"}, "scaleanchor": "x"},
}


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section; none for a study without ships."""
    runs = stored_runs(scope.store, scope.run_ids, "ship_emissions")
    blocks: list[Figure | TableBlock | str] = list(tables(scope))
    if runs:
        shown = next(
            (run for run in reversed(runs) if run.method[0] not in ("none", "global_mean")), runs[-1]
        )
        what = f"imputer {shown.method[0]}, features {shown.method[1]}, run {shown.run_id}"
        blocks += [totals_table([shown]), *_by_type(scope, shown, what), *_tracks(scope, shown, what)]
        blocks += [*_cells(scope, shown, what), *_calibration(runs)]
    return [ReportSection("Ship emissions", blocks, order=30)] if blocks else []


def _rows(scope: ReportScope, sql: str, run: StoredRun) -> list[dict[str, Any]]:
    return scope.store.query(sql, [run.run_id]).to_pylist()


def _of(table: str, run: StoredRun) -> str:
    return f"FROM {table} WHERE run_id = '{run.run_id}'"


def _by_type(scope: ReportScope, run: StoredRun, what: str) -> list[Figure]:
    rows = _rows(
        scope,
        "SELECT coalesce(ship_type, 'unknown') AS kind, count(*) AS ships, sum(co2_kg) / 1e3 AS co2_t, "
        "sqrt(sum(((co2_high_kg - co2_low_kg) / 2) ** 2)) / 1e3 AS half_t FROM ship_emissions WHERE run_id = ? "
        "GROUP BY kind ORDER BY co2_t DESC",
        run,
    )
    if not rows:
        return []
    trace = {
        "type": "bar",
        "x": [f"{row['kind']} ({row['ships']})" for row in rows],
        "y": [row["co2_t"] for row in rows],
        "error_y": {"type": "data", "array": [row["half_t"] for row in rows]},
    }
    layout = {"yaxis": {"title": {"text": "CO2, t"}, "rangemode": "tozero"}}
    caption = f"Number of ships in brackets. {what}."
    band = "Lines: the ships' own intervals, taken as independent."
    spec = {"data": [trace], "layout": layout}
    return [Figure("CO2 by type of ship", spec, caption, sql=_of("ship_emissions", run), band=band)]


def _tracks(scope: ReportScope, run: StoredRun, what: str) -> list[Figure]:
    rows = _rows(scope, "SELECT lon_deg, lat_deg, phase FROM track_points WHERE run_id = ?", run)
    if not rows:
        return []
    traces = []
    for phase in sorted({row["phase"] for row in rows}):
        points = [row for row in rows if row["phase"] == phase]
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers",
                "name": _LONG[phase] if phase < len(_LONG) else str(phase),
                "x": [row["lon_deg"] for row in points],
                "y": [row["lat_deg"] for row in points],
                "marker": {"size": 4},
            }
        )
    caption = (
        f"A sample of {len(rows):,} positions; phases by k-means over speed, turn rate and depth. {what}."
    )
    spec = {"data": traces, "layout": _PLACES}
    return [Figure("Tracks by phase", spec, caption, sql=_of("track_points", run))]


def _cells(scope: ReportScope, run: StoredRun, what: str) -> list[Figure]:
    rows = _rows(
        scope,
        "SELECT lon_deg, lat_deg, sum(co2_kg) AS co2_kg FROM emission_cells WHERE run_id = ? GROUP BY ALL "
        "ORDER BY co2_kg DESC LIMIT 4000",
        run,
    )
    hours = _rows(
        scope,
        "SELECT hour, sum(co2_kg) / 1e3 AS co2_t FROM emission_cells WHERE run_id = ? GROUP BY hour ORDER BY hour",
        run,
    )
    if not rows:
        return []
    from math import log10

    trace = {
        "type": "scattergl",
        "mode": "markers",
        "x": [row["lon_deg"] for row in rows],
        "y": [row["lat_deg"] for row in rows],
        "marker": {
            "symbol": "square",
            "size": 6,
            "color": [log10(max(row["co2_kg"], 1e-3)) for row in rows],
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": "log10 kg CO2"}},
        },
    }
    by_hour = {"type": "bar", "x": [row["hour"] for row in hours], "y": [row["co2_t"] for row in hours]}
    placed, sql = {"data": [trace], "layout": _PLACES}, _of("emission_cells", run)
    axes = {"xaxis": {"title": {"text": "hour of the day, UTC"}}, "yaxis": {"title": {"text": "CO2, t"}}}
    return [
        Figure("Emission map", placed, f"CO2 by cell of 0.02 degrees. {what}.", sql=sql),
        Figure("CO2 by hour of the day", {"data": [by_hour], "layout": axes}, f"{what}.", sql=sql),
    ]


def _calibration(runs: Sequence[StoredRun]) -> list[Figure]:
    """Return intervals against the truth: one bar a run, relative to the true total."""
    traces = []
    for method in sorted({run.method for run in runs}):
        x, y, up, down = [], [], [], []
        for run in runs:
            bias, limits = run.metrics.get("fleet_co2_bias_pct"), run.limits.get("co2_t")
            if run.method != method or bias is None or limits is None:
                continue
            value = run.metrics["co2_t"]
            true = value / (1 + bias / 100)
            x.append(
                f"seed {run.params.get('workload.seed')}, {run.params.get('workload.missing.share')} hidden"
            )
            y.append(bias)
            up.append(100 * (limits[1] - value) / true)
            down.append(100 * (value - limits[0]) / true)
        if x:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": " · ".join(word for word in method if word != "–"),
                    "x": x,
                    "y": y,
                    "error_y": {"type": "data", "symmetric": False, "array": up, "arrayminus": down},
                }
            )
    if not traces:
        return []
    layout = {"yaxis": {"title": {"text": "difference from the true CO2, %"}, "zeroline": True}}
    held = [run.metrics["interval_holds"] for run in runs if "interval_holds" in run.metrics]
    caption = (
        f"An interval that contains 0 holds: {sum(held):.0f} of {len(held)} do. Fleets with known truth."
    )
    spec = {"data": traces, "layout": layout}
    band = "Lines: the interval of each run."
    return [
        Figure("Do the intervals hold?", spec, caption, metrics=("co2_t", "fleet_co2_bias_pct"), band=band)
    ]
