"""Figures of recorded executions: cost against time, budgets, scalability, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from framework.contracts import Figure
from framework.store.views.results_view import literal
from framework_hadoop.executions.effectiveness import Query

_MOST_POINTS = 6000


@dataclass(frozen=True)
class Point:
    """One configuration: medians of its runs with intervals; a cost is None where there is no price.

    Attributes:
        benchmark, cluster: which.
        time_s, time_low, time_high: in seconds.
        cost_usd, cost_low, cost_high: of one execution, in US dollars.
        leaves_out: what the cost does not contain; None: nothing.
        on_front: whether no other configuration is for certain both faster and cheaper.
        repeats: runs behind it.
    """

    benchmark: str | None
    cluster: str | None
    time_s: float
    time_low: float
    time_high: float
    cost_usd: float | None
    cost_low: float | None
    cost_high: float | None
    leaves_out: str | None
    on_front: bool
    repeats: int

    @property
    def words(self) -> str:
        """What the pointer shows."""
        text = f"{self.cluster}: {self.time_s:.0f} s ({self.time_low:.0f} to {self.time_high:.0f})"
        if self.cost_usd is not None:
            text += f", {self.cost_usd:.3g} USD ({self.cost_low:.3g} to {self.cost_high:.3g})"
        text += f", {self.repeats} run{'s' if self.repeats > 1 else ''}"
        return text + (f", without {self.leaves_out}" if self.leaves_out else "")


def configurations(query: Query, experiment: str) -> list[Point]:
    """Return the configurations of an experiment, those on a front first, at most `_MOST_POINTS`."""
    return [Point(*row) for row in query(_configurations_sql(experiment), [])]


def _configurations_sql(experiment: str) -> str:
    return (
        "SELECT benchmark, cluster, time_s, time_low, time_high, cost_usd, cost_low, cost_high, cost_leaves_out, "
        f"on_front, repeats FROM cost_effectiveness WHERE experiment = {literal(experiment)} "
        f"ORDER BY on_front DESC, hash(run_id) LIMIT {_MOST_POINTS}"
    )


def points_figure(points: Sequence[Point], experiment: str) -> Figure:
    """Return configurations as points: cost against time where priced, else time by cluster."""
    priced = [point for point in points if point.cost_usd is not None]
    shown = priced or list(points)
    front = [point for point in shown if priced and point.on_front]
    rest = [point for point in shown if not (priced and point.on_front)]
    data = []
    if priced:
        grey = {"size": 4, "color": "rgba(128,128,128,0.35)"}
        data.append(_points("not on a front", rest, True, grey))
        for benchmark, own in _by_benchmark(front):
            symbols = ["diamond-open" if point.leaves_out else "diamond" for point in own]
            data.append(_points(benchmark, own, True, {"size": 8, "symbol": symbols}))
    else:
        data += [_points(benchmark, own, False, {"size": 5}) for benchmark, own in _by_benchmark(shown)]
    second = {"title": {"text": "cost in USD"}, "type": "log"} if priced else {"automargin": True}
    layout = {"height": 480, "xaxis": {"title": {"text": "time in s"}, "type": "log"}, "yaxis": second}
    caption = "One point a configuration (median of its runs)."
    if priced:
        caption += (
            " Diamonds: no other configuration of the benchmark is for certain both faster and cheaper. Open ones: "
            "the cost leaves something out (disks or network without a price), so it is too low."
        )
        left = len(points) - len(priced)
        caption += f" {left} configurations on clusters without a price are not drawn." if left else ""
    title = "Cost against time" if priced else "Time by cluster"
    band = "The pointer shows the interval of each point."
    sql = _configurations_sql(experiment)
    sql = f"FROM ({sql}) WHERE cost_usd IS NOT NULL" if priced else sql
    return Figure(title, {"data": data, "layout": layout}, caption, sql=sql, band=band)


def _points(name: str, points: Sequence[Point], priced: bool, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [point.time_s for point in points],
        "y": [point.cost_usd if priced else str(point.cluster) for point in points],
        "text": [point.words for point in points],
        "marker": marker,
    }


def _by_benchmark(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """Return the points of each benchmark, data generators last: they are drawn if asked for."""
    names = sorted(
        {str(point.benchmark) for point in points}, key=lambda name: (name.startswith("prep_"), name)
    )
    return [(name, [point for point in points if str(point.benchmark) == name]) for name in names]


def budget_figure(points: Sequence[Point], experiment: str) -> Figure:
    """Return for each benchmark the least time that a budget for one execution buys, as steps."""
    data = []
    priced = [point for point in points if point.cost_high is not None]
    most = 1.2 * max(steps[-1][0] for steps in map(_bought, (own for _, own in _by_benchmark(priced))))
    for benchmark, own in _by_benchmark(priced):
        steps = _bought(own)
        steps.append((most, steps[-1][1], steps[-1][2]))  # a larger budget buys no more
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": benchmark,
                "x": [cost for cost, _, _ in steps],
                "y": [time for _, time, _ in steps],
                "text": [words for _, _, words in steps],
                "line": {"shape": "hv", "width": 1.5},
                "marker": {"size": 5},
            }
        )
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": "budget for one execution in USD"}, "type": "log"},
        "yaxis": {"title": {"text": "time in s"}, "type": "log"},
    }
    caption = (
        "The least time within a budget; read the other way, the least cost within a deadline. What costs leave "
        "out is not in them."
    )
    band = (
        "Both are upper ends of intervals: a configuration counts only if it keeps both limits for certain."
    )
    sql = (
        f"SELECT benchmark, cost_high AS budget_usd, time_high AS time_s FROM ({_configurations_sql(experiment)}) "
        "WHERE cost_high IS NOT NULL QUALIFY time_high < coalesce(min(time_high) OVER (PARTITION BY benchmark "
        "ORDER BY cost_high, time_high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 'inf'::DOUBLE) "
        "ORDER BY benchmark, budget_usd"
    )
    spec = {"data": data, "layout": layout}
    return Figure("Best time within a budget", spec, caption, sql=sql, band=band)


def _bought(own: Sequence[Point]) -> list[tuple[float, float, str]]:
    """Return (cost, time, words) of the priced points, by rising cost, that are faster than all cheaper ones."""
    points = sorted((float(point.cost_high or 0), point.time_high, point.words) for point in own)
    steps: list[tuple[float, float, str]] = []
    for cost, same in groupby(points, key=lambda point: point[0]):
        best = next(same)
        if not steps or best[1] < steps[-1][1]:
            steps.append((cost, best[1], best[2]))
    return steps


def scaling_figure(words: str, rows: Sequence[Sequence[Any]], sql: str) -> Figure | None:
    """Return the time by the amount of a resource relative to its commonest amount; None without such a pair.

    Args:
        words: the resource.
        rows: (from, to, ratio, low, high, pairs).
        sql: gives the rows.
    """
    known = [row for row in rows if _number(row[0]) and _number(row[1])]
    if not known:
        return None
    base = _number(known[0][0])
    points = sorted([(base, 1.0, None, None, None), *((_number(row[1]), *row[2:6]) for row in known)])
    amounts = [point[0] for point in points]
    exponent = {"data nodes": -1, "data size in bytes": 1, "scale factor": 1}.get(words)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "measured",
            "x": amounts,
            "y": [point[1] for point in points],
            "text": ["the commonest" if n is None else f"{n} pairs" for *_, n in points],
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [None if high is None else high - ratio for _, ratio, _, high, _ in points],
                "arrayminus": [None if low is None else ratio - low for _, ratio, low, _, _ in points],
            },
            "marker": {"size": 9},
        },
    ]
    if exponent is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "in proportion",
                "x": amounts,
                "y": [(amount / base) ** exponent for amount in amounts],
                "line": {"dash": "dot", "width": 1, "color": "#7F7F7F"},
            }
        )
    layout = {
        "xaxis": {
            "title": {"text": words},
            "type": "log",
            "tickvals": amounts,
            "ticktext": [f"{amount:g}" for amount in amounts],
        },
        "yaxis": {"title": {"text": "time ratio"}, "type": "log"},
    }
    caption = (
        f"Time relative to that with {base:g}, over pairs of configurations that are equal in everything else but "
        "the cluster's name."
        + (" It is another machine type, whose processor may differ too." if " per node" in words else "")
    )
    band = "Bars: 90 % intervals, where there are at least five pairs."
    return Figure(f"Time by {words}", {"data": data, "layout": layout}, caption, sql=sql, band=band)


def _number(text: object) -> float:
    """Return a positive number, 0 for what is none."""
    try:
        return max(0.0, float(str(text)))
    except ValueError:
        return 0.0


def coverage_figure(rows: Sequence[Sequence[Any]], sql: str) -> Figure:
    """Return how many configurations of each benchmark were run on each cluster, empty where none was.

    Args:
        rows: (benchmark, cluster, configurations, …).
        sql: gives the rows.
    """
    counts = {(str(row[0]), str(row[1])): int(row[2]) for row in rows}
    benchmarks = sorted({name for name, _ in counts}, reverse=True)
    clusters = sorted({name for _, name in counts})
    cells = [[counts.get((benchmark, cluster)) for cluster in clusters] for benchmark in benchmarks]
    data = {
        "type": "heatmap",
        "x": clusters,
        "y": benchmarks,
        "z": [[None if count is None else _rank(count) for count in row] for row in cells],
        "text": [["" if count is None else str(count) for count in row] for row in cells],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y} on %{x}: %{text} configurations<extra></extra>",
        "colorscale": "Blues",
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
    }
    layout = {
        "height": 160 + 26 * len(benchmarks),
        "xaxis": {"automargin": True, "type": "category", "showgrid": False},
        "yaxis": {"automargin": True, "type": "category", "showgrid": False},
    }
    never = len(benchmarks) * len(clusters) - len(counts)
    caption = f"Number of configurations. Empty: the benchmark was never run on that cluster ({never} combinations)."
    spec = {"data": [data], "layout": layout}
    return Figure("Configurations run", spec, caption, sql=sql, band="A count has no band.")


def _rank(count: int) -> float:
    """Return the colour of a number: its order of magnitude, since numbers differ a thousandfold."""
    from math import log10

    return log10(count) + 0.5


@dataclass(frozen=True)
class UsualSettings:
    """What is set in most executions of an experiment, and what runs set otherwise, each in one line."""

    usual: str
    otherwise: dict[str, str]


def settings_of(query: Query, experiment: str, run_ids: Sequence[str]) -> UsualSettings:
    """Return the settings of runs (engine, disks, network, data size) as far as they vary in the experiment."""
    named = (
        "(starts_with(s.name, 'backend.') OR s.name IN ('cluster.disk', 'cluster.network', "
        "'workload.data_size_bytes', 'workload.scale_factor'))"
    )
    commonest = query(
        "SELECT s.name, arg_max(s.value, s.n) FROM ("
        "SELECT s.name, s.value, count(*) AS n FROM execution_settings s JOIN executions e USING (run_id) "
        f"WHERE e.experiment = ? AND {named} GROUP BY ALL ORDER BY s.name, s.value) s "
        "GROUP BY s.name HAVING count(*) > 1 ORDER BY s.name DESC",
        [experiment],
    )
    usual = {str(name): value for name, value in commonest}
    rows = query(
        "SELECT run_id, name, value FROM execution_settings WHERE list_contains(?, run_id) "
        "AND list_contains(?, name) ORDER BY run_id, name DESC",
        [list(run_ids), list(usual)],
    )
    otherwise: dict[str, list[str]] = {}
    for run_id, name, value in rows:
        if value != usual[name]:
            otherwise.setdefault(str(run_id), []).append(_setting(name, value))
    return UsualSettings(
        ", ".join(_setting(name, value) for name, value in usual.items()),
        {run_id: ", ".join(parts) for run_id, parts in otherwise.items()},
    )


def _setting(name: str, value: object) -> str:
    return f"{name.rpartition('.')[2]}={value}"
