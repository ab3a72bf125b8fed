"""Report of imported executions: cost, what settings and hardware do, how sure that is, what was never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, TableBlock
from framework.store.views.results_view import literal
from framework_hadoop.executions.effectiveness import (
    Effect,
    Query,
    effects_sql,
    effects_table,
    setting_effects,
)
from framework_hadoop.knowledge.knowledge_report import effects_figure
from framework_hadoop.knowledge.stored_report import cluster_accuracy, execution_figures, verdict_blocks

_ORDER = 45
_LEAST_PAIRS = 5
_MOST_SETTINGS, _MOST_ROWS = 20, 200
_STORAGE = ("cluster.disk", "cluster.network")
_RESOURCES = {
    "cluster.data_nodes": "data nodes",
    "cluster.cores_per_node": "cores per node",
    "cluster.memory_per_node_gb": "memory per node in GB",
    "workload.data_size_bytes": "data size in bytes",
    "workload.scale_factor": "scale factor",
}
Block = Figure | TableBlock | str


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the sections of an experiment of recorded executions; none if it has no execution with a time."""

    def query(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in scope.store.query(statement, parameters).to_pylist()]

    name = scope.experiment
    points = execution_figures.configurations(query, name)
    if not points:
        return []
    built = [
        ("Cost and time of recorded executions", _cost_and_time(query, name, points)),
        ("Effects of settings, disks and networks", _effects(query, name)),
        ("Scalability", _scalability(query, name)),
        ("Accuracy of predictions by cluster", cluster_accuracy.blocks(scope)),
        ("Outliers", verdict_blocks.blocks(query, name)),
        ("Coverage of the configuration space", _coverage(query, name)),
        ("Best configurations", _best(query, name)),
    ]
    return [
        ReportSection(title, blocks, _ORDER + place) for place, (title, blocks) in enumerate(built) if blocks
    ]


def _cost_and_time(query: Query, name: str, points: Sequence[execution_figures.Point]) -> list[Block]:
    blocks: list[Block] = [execution_figures.points_figure(points, name)]
    if any(point.cost_usd is not None for point in points):
        blocks.append(execution_figures.budget_figure(points, name))
        blocks.append(_prices(query, name))
    return blocks


def _prices(query: Query, name: str) -> TableBlock:
    """Return the price of each cluster with day and source, and what its costs leave out."""
    rows = query(
        "SELECT e.cluster, f.value AS price, count(*) AS executions, count(e.cost_leaves_out) AS incomplete, "
        "string_agg(DISTINCT e.cost_leaves_out, '; ' ORDER BY e.cost_leaves_out) AS left_out "
        "FROM executions e LEFT JOIN facts f ON f.run_id = e.run_id AND f.name = 'price' "
        "WHERE e.experiment = ? GROUP BY ALL ORDER BY executions DESC, 1",
        [name],
    )
    shown = [(row[0], row[1] or "no price", *row[2:4], row[4] or "") for row in rows]
    return TableBlock(
        "Prices, and what the costs leave out",
        ("cluster", "price", "executions", "incomplete", "left_out"),
        shown,
        "incomplete: executions that used something for which the price list states no price (left_out)",
    )


def _effects(query: Query, name: str) -> list[Block]:
    found = query(
        "SELECT s.name FROM execution_settings s JOIN executions e USING (run_id) WHERE e.experiment = ? "
        "AND (starts_with(s.name, 'backend.') OR list_contains(?, s.name)) AND s.name <> 'backend.name' "
        f"GROUP BY s.name HAVING count(DISTINCT s.value) > 1 ORDER BY count(*) DESC, s.name LIMIT {_MOST_SETTINGS}",
        [name, list(_STORAGE)],
    )
    settings = [row[0] for row in found]
    blocks: list[Block] = []
    every: list[Effect] = []
    for title, names in (
        ("Effect of disks and networks", [own for own in settings if own in _STORAGE]),
        ("Effect of the engine's settings", [own for own in settings if own not in _STORAGE]),
    ):
        effects = setting_effects(query, names, experiment=name, least_pairs=2)
        every += effects
        sure = [effect for effect in effects if effect.pairs >= _LEAST_PAIRS]
        if sure:
            few = len(effects) - len(sure)
            blocks.append(
                Figure(
                    title,
                    effects_figure(sure),
                    "Median ratio of the times of configurations that are equal in everything else; "
                    f"left is faster. The largest effects are drawn, all are in the table. {few} values "
                    f"with fewer than {_LEAST_PAIRS} pairs are only there.",
                    sql=effects_sql(names, experiment=name, least_pairs=_LEAST_PAIRS),
                    band="Bars: 90 % intervals.",
                )
            )
    if every:
        blocks.append(effects_table(every, "Effects of settings"))
    return blocks


def _scalability(query: Query, name: str) -> list[Block]:
    blocks: list[Block] = []
    without = []
    columns = "from_value, to_value, time_ratio, low, high, configurations"
    for setting, words in _RESOURCES.items():
        sql = f"SELECT {columns} FROM scalability({literal(setting)}, experiment := {literal(name)})"
        rows = query(sql, [])
        values = query(
            "SELECT count(DISTINCT s.value) FROM execution_settings s JOIN executions e USING (run_id) "
            "WHERE e.experiment = ? AND s.name = ?",
            [name, setting],
        )[0][0]
        figure = execution_figures.scaling_figure(words, rows, sql)
        if figure is not None:
            blocks += [figure, TableBlock(f"Time by {words}", columns.split(", "), rows)]
        elif values > 1:
            without.append(words)
    if without:
        blocks.append(
            f"No two configurations differ in one of these only, so their effect is unknown: {', '.join(without)}."
        )
    return blocks


def _best(query: Query, experiment: str) -> list[Block]:
    figures = ("time_s", "time_low", "time_high", "cost_usd", "cost_leaves_out", "repeats")
    rows = query(
        f"SELECT run_id, benchmark, cluster, {', '.join(figures)} FROM best_configurations WHERE experiment = ? "
        f"ORDER BY benchmark, time_s LIMIT {_MOST_ROWS}",
        [experiment],
    )
    texts = execution_figures.settings_of(query, experiment, [row[0] for row in rows])
    return [
        TableBlock(
            "Best configuration of each benchmark on each cluster",
            ("benchmark", "cluster", "settings", *figures),
            [(row[1], row[2], texts.otherwise.get(row[0], "usual"), *row[3:]) for row in rows],
            f"settings: what differs from the usual ones ({texts.usual}). "
            "The configuration whose interval ends lowest, so that a single lucky run does not count. Within a "
            "budget or a deadline: python -m framework executions best --budget USD --deadline SECONDS.",
        )
    ]


def _coverage(query: Query, experiment: str) -> list[Block]:
    """Return how many of the possible configurations were run: all combinations of the values seen there."""
    columns = ("benchmark", "cluster", "configurations", "possible", "share", "runs")
    name = literal(experiment)
    sql = (
        "WITH seen AS (SELECT e.benchmark, e.cluster, s.name, count(DISTINCT s.value) AS levels "
        f"FROM executions e JOIN execution_settings s USING (run_id) WHERE e.experiment = {name} "
        f"AND (starts_with(s.name, 'backend.') OR s.name IN ({', '.join(map(literal, _STORAGE))})) GROUP BY ALL), "
        "grid AS (SELECT benchmark, cluster, product(levels) AS possible FROM seen GROUP BY ALL), "
        "made AS (SELECT benchmark, cluster, count(DISTINCT configuration) AS configurations, count(*) AS runs "
        f"FROM executions WHERE experiment = {name} GROUP BY ALL) "
        "SELECT m.benchmark, m.cluster, m.configurations, g.possible, m.configurations / g.possible AS share, m.runs "
        "FROM made m JOIN grid g ON g.benchmark IS NOT DISTINCT FROM m.benchmark "
        "AND g.cluster IS NOT DISTINCT FROM m.cluster ORDER BY m.runs DESC, 1, 2"
    )
    rows = query(sql, [])
    table = TableBlock(
        "Coverage of the configuration space",
        columns,
        rows[:_MOST_ROWS],
        "Possible: all combinations of the settings, disks and networks that were seen on that cluster with that "
        "benchmark.",
    )
    return [execution_figures.coverage_figure(rows, sql), table]
