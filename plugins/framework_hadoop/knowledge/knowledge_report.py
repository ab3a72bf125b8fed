"""Report sections: what matters (tree, effects with intervals), which configuration is best, cost against time.

A run that learned from files (`aloja_prediction`) holds these tables itself; of an engine's own runs and of imported
executions they are made from the store when a report asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.contracts import Figure, ReportScope, ReportSection, StoreReader, TableBlock
from framework.store.views.results_view import rows_query
from framework_hadoop.executions.effectiveness import Effect, effects_sql, effects_table, setting_effects
from framework_hadoop.knowledge.best_configuration import TreeNode, representative_tree, tree_figure

_MOST_BEST = 200
_MOST_EFFECTS = 20  # in the figure; the table has all
_ORDER = 45


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the sections of an experiment over executions; none for any other."""
    learned = _latest_learner(scope)
    if learned is not None:
        shown = [f"FROM {table} WHERE run_id = '{learned}'" for table in ("knowledge_tree", "knob_effects")]
        return [_matters(*_kept(scope.store, learned), *shown), *_quality(scope.store, learned)]
    from framework_hadoop.knowledge.knob_study import knob_runs

    runs = knob_runs(scope.store, scope.run_ids)
    return [] if runs is None else _of_engine_runs(scope, runs)


def _latest_learner(scope: ReportScope) -> str | None:
    """Return the experiment's last run that keeps a tree; None if none does."""
    found = scope.store.query(
        "SELECT k.run_id FROM knowledge_tree k JOIN runs r USING (run_id) "
        "WHERE r.experiment = ? AND list_contains(?, k.run_id) ORDER BY r.started_at DESC LIMIT 1",
        [scope.experiment, list(scope.run_ids)],
    )
    return found.column(0)[0].as_py() if found.num_rows else None


def _kept(store: StoreReader, run_id: str) -> tuple[TreeNode, list[Effect]]:
    from framework_hadoop.knowledge.knowledge_tables import tree_of

    nodes = store.query("SELECT * EXCLUDE (run_id) FROM knowledge_tree WHERE run_id = ?", [run_id])
    effects = store.query(
        "SELECT setting, from_value, to_value, time_ratio, low, high, configurations FROM knob_effects "
        "WHERE run_id = ? ORDER BY setting, to_value",
        [run_id],
    )
    return tree_of(nodes.to_pylist()), [Effect(*row.values()) for row in effects.to_pylist()]


def _matters(tree: TreeNode, effects: Sequence[Effect], tree_sql: str, effects_sql: str) -> ReportSection:
    blocks: list[Figure | TableBlock | str] = [
        Figure(
            "What separates slow from fast executions",
            tree_figure(tree),
            "Representative tree. A leaf shows the median time relative to the benchmark's median, "
            "and the number of executions.",
            sql=tree_sql,
        ),
        "The effect of a setting while all others are constant:",  # and the two figures do not share a line
    ]
    if effects:
        blocks += [
            Figure(
                "Effect of single settings on time",
                effects_figure(effects),
                "The largest effects: time ratio over configurations that are equal in everything else; "
                "left is faster.",
                sql=effects_sql,
                band="Bars: 90 % intervals.",
            ),
            effects_table(effects, "Effects"),
        ]
    return ReportSection("Effects of knobs", blocks, _ORDER)


def effects_figure(effects: Sequence[Effect]) -> dict[str, Any]:
    """Return effects as points with intervals on a logarithmic axis, the largest on top."""
    shown = sorted(effects, key=lambda effect: abs(effect.ratio - 1))[-_MOST_EFFECTS:]
    names = [f"{e.setting}: {e.base} → {e.value}" for e in shown]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": [e.ratio for e in shown],
                "y": names,
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [None if e.high is None else e.high - e.ratio for e in shown],
                    "arrayminus": [None if e.low is None else e.ratio - e.low for e in shown],
                },
                "marker": {"size": 8},
            }
        ],
        "layout": {
            "showlegend": False,
            "height": 140 + 22 * len(shown),
            "xaxis": {"title": {"text": "time ratio"}, "type": "log"},
            "yaxis": {"automargin": True},
            "shapes": [
                {"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": {"dash": "dot"}}
            ],
        },
    }


def _quality(store: StoreReader, run_id: str) -> list[ReportSection]:
    """Return the best configurations, the regret of recommendations, and the four held-out errors of one run."""
    best = _block(
        store,
        "Best configuration of each benchmark on each cluster",
        "SELECT benchmark, cluster, settings, time_s, low, high, executions FROM best_settings WHERE run_id = ? "
        f"ORDER BY benchmark, cluster LIMIT {_MOST_BEST}",
        run_id,
        "Median of the executions with a 90 % interval. The best configuration has the lowest upper "
        "end, so a single lucky run does not count.",
    )
    regret = _block(
        store,
        "Recommended among the held-out configurations",
        "SELECT benchmark, cluster, configurations, settings, predicted_s, measured_s, best_s, regret "
        "FROM recommendations WHERE run_id = ? ORDER BY regret DESC",
        run_id,
        "regret: measured time of the configuration predicted to be fastest / best measured time, minus 1",
    )
    held_out = store.query(
        "SELECT count(*) FROM metrics WHERE run_id = ? AND name = 'mape_held_out_rows'", [run_id]
    )
    found = [ReportSection("Best configurations", [best, regret], _ORDER + 1)]
    if held_out.column(0)[0].as_py():
        errors = _block(
            store,
            "Errors on held-out data",
            "SELECT scheme, units, rows, mape, median_ape, median_of_units, mae, coverage, note "
            "FROM prediction_errors WHERE run_id = ?",
            run_id,
            "Fractions. A random split is too optimistic, because repeats of a configuration are "
            "also in the training rows.",
        )
        by_cluster = _block(
            store,
            "Errors on the test rows by cluster",
            "SELECT cluster, rows, mape, median_ape, coverage, low, high, verdict FROM cluster_errors "
            "WHERE run_id = ? ORDER BY rows DESC, cluster",
            run_id,
            "Fractions; low and high: 95 % interval of the coverage. The verdict compares it with the promised one.",
        )
        found.append(ReportSection("Accuracy of predictions", [errors, by_cluster], _ORDER + 2))
    return found


def _block(store: StoreReader, title: str, sql: str, run_id: str, caption: str) -> TableBlock:
    table = store.query(sql, [run_id])
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return TableBlock(title, table.column_names, rows, caption)


def _of_engine_runs(scope: ReportScope, runs: Any) -> list[ReportSection]:
    from framework.analysis.prediction.logged_runs import plan_for
    from framework_hadoop.knowledge.knob_study import BENCHMARK, knob_names, sweep_tables
    from framework_hadoop.knowledge.knowledge_tables import tree_table

    names = knob_names(runs.columns)
    fitted = plan_for(runs, 0.9).fit(runs.columns, runs.target)
    predicted = fitted.predict_points(runs.columns)
    tree = representative_tree(
        {name: runs.columns[name] for name in names}, runs.columns[BENCHMARK], runs.target, predicted
    )

    def query(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in scope.store.query(statement, parameters).to_pylist()]

    ignoring = _followers(scope.store, runs.run_ids, names)
    effects = setting_effects(query, names, None, scope.experiment, ignoring, least_pairs=2)
    nodes = tree_table(tree)
    tree_sql = rows_query(nodes.column_names, [tuple(row.values()) for row in nodes.to_pylist()])
    tables = sweep_tables(scope)
    return [
        _matters(
            tree, effects, tree_sql, effects_sql(names, None, scope.experiment, ignoring, least_pairs=2)
        ),
        ReportSection("Prediction, best configurations, cost and time", tables, _ORDER + 1),
    ]


def _followers(store: StoreReader, run_ids: Sequence[str], knobs: Sequence[str]) -> list[str]:
    """Return the backend's settings that vary only because they follow one of the knobs."""
    found = store.query(
        "SELECT name FROM params WHERE list_contains(?, run_id) AND name LIKE 'backend.%' "
        "GROUP BY name HAVING count(DISTINCT value) > 1 ORDER BY name",
        [list(run_ids)],
    )
    return [name for name in found.column(0).to_pylist() if name not in knobs]
