"""Report of imported executions: cost against time, effects of settings, best configurations, what was never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework_hadoop.executions.effectiveness import effects_table, setting_effects
from framework_hadoop.knowledge.knowledge_report import effects_figure

_ORDER = 45
_MOST_POINTS, _MOST_SETTINGS, _MOST_ROWS = 3000, 12, 200
_NOT_EFFECTS = ("workload.benchmark", "workload.suite", "cluster.cluster")


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the sections of an experiment of recorded executions; none if it has no execution with a time."""

    def query(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in scope.store.query(statement, parameters).to_pylist()]

    name = scope.experiment
    points = query(
        "SELECT benchmark, cluster, time_s, cost_usd, on_front, repeats FROM cost_effectiveness "
        f"WHERE experiment = ? ORDER BY benchmark, time_s LIMIT {_MOST_POINTS}",
        [name],
    )
    if not points:
        return []
    settings = query(
        "SELECT s.name FROM execution_settings s JOIN executions e USING (run_id) WHERE e.experiment = ? "
        "AND NOT list_contains(?, s.name) GROUP BY s.name HAVING count(DISTINCT s.value) > 1 "
        f"ORDER BY count(*) DESC, s.name LIMIT {_MOST_SETTINGS}",
        [name, list(_NOT_EFFECTS)],
    )
    effects = setting_effects(query, [row[0] for row in settings], experiment=name, least_pairs=2)
    blocks: list[Figure | TableBlock | str] = [_points_figure(points)]
    if effects:
        blocks += [
            Figure(
                "Effect of each setting, all else equal",
                effects_figure(effects),
                "Median ratio of times of configurations that differ in this setting only, with 90 % intervals.",
            ),
            effects_table(effects, "Effects of settings"),
        ]
    return [
        ReportSection("Recorded executions", blocks, _ORDER),
        ReportSection(
            "Best configurations and coverage", [_best(query, name), _coverage(query, name)], _ORDER + 1
        ),
    ]


def _points_figure(points: Sequence[tuple[Any, ...]]) -> Figure:
    """Return configurations as points: cost against time where priced, else time by cluster."""
    priced = [row for row in points if row[3] is not None]
    shown = priced or list(points)
    data = []
    for benchmark in dict.fromkeys(row[0] for row in shown):
        own = [row for row in shown if row[0] == benchmark]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": str(benchmark),
                "x": [row[2] for row in own],
                "y": [row[3] for row in own] if priced else [str(row[1]) for row in own],
                "text": [f"{row[1]}, {row[5]} runs" for row in own],
                "marker": {
                    "size": 7,
                    "symbol": ["diamond" if priced and row[4] else "circle-open" for row in own],
                },
            }
        )
    second = {"title": {"text": "cost in USD"}, "type": "log"} if priced else {"automargin": True}
    layout = {"xaxis": {"title": {"text": "time in s"}, "type": "log"}, "yaxis": second}
    left = len(points) - len(priced)
    caption = "One point a configuration (median of its runs)."
    if priced:
        caption += " Diamonds are on the cost-time front of their benchmark."
        caption += f" {left} configurations on clusters without a price are left out." if left else ""
        caption += " Surcharges that the price list does not state are not in the cost."
    title = "Cost against time" if priced else "Time by cluster"
    return Figure(title, {"data": data, "layout": layout}, caption)


def _best(query: Any, experiment: str) -> TableBlock:
    columns = ("benchmark", "cluster", "time_s", "time_low", "time_high", "cost_usd", "repeats", "run_id")
    rows = query(
        f"SELECT {', '.join(columns)} FROM best_configurations WHERE experiment = ? "
        f"ORDER BY benchmark, time_s LIMIT {_MOST_ROWS}",
        [experiment],
    )
    return TableBlock("Best configuration of each benchmark on each cluster", columns, rows)


def _coverage(query: Any, experiment: str) -> TableBlock:
    """Return how many of the possible configurations were run: all combinations of the values seen there."""
    columns = ("benchmark", "cluster", "configurations", "possible", "share", "runs")
    rows = query(
        "WITH seen AS (SELECT e.benchmark, e.cluster, s.name, count(DISTINCT s.value) AS levels "
        "FROM executions e JOIN execution_settings s USING (run_id) WHERE e.experiment = ? "
        "AND starts_with(s.name, 'backend.') GROUP BY ALL), "
        "grid AS (SELECT benchmark, cluster, product(levels) AS possible FROM seen GROUP BY ALL), "
        "made AS (SELECT benchmark, cluster, count(DISTINCT configuration) AS configurations, count(*) AS runs "
        "FROM executions WHERE experiment = ? GROUP BY ALL) "
        "SELECT m.benchmark, m.cluster, m.configurations, g.possible, m.configurations / g.possible AS share, m.runs "
        "FROM made m JOIN grid g ON g.benchmark IS NOT DISTINCT FROM m.benchmark "
        f"AND g.cluster IS NOT DISTINCT FROM m.cluster ORDER BY m.runs DESC, 1, 2 LIMIT {_MOST_ROWS}",
        [experiment, experiment],
    )
    return TableBlock(
        "Coverage of the configuration space",
        columns,
        rows,
        "Possible: all combinations of the engine's settings that were seen on that cluster with that benchmark.",
    )
