"""What a run that learned from executions holds besides predictions: tree, effects, best configurations, regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from framework.contracts import TableBlock
    from framework_hadoop.executions.effectiveness import Effect
    from framework_hadoop.executions.execution_table import Executions
    from framework_hadoop.knowledge.best_configuration import BestConfiguration, TreeNode


def schemas() -> Mapping[str, pa.Schema]:
    """Return the schemas of the tables, without `run_id`.

    `knowledge_tree`: one row a node, in preorder; `branch` is yes or no, how it hangs on its `parent`; a leaf has no
    question. `knob_effects`: time at `to_value` over time at `from_value`, all else equal. `best_settings`: for each
    benchmark and cluster. `recommendations`: which of the held-out configurations is predicted to be fastest, and
    its `regret`, its measured time over the best measured one's, minus 1. `prediction_errors`: one row a scheme of
    holding out, as `framework.analysis.prediction.validation_schemes.HeldOutError`. `cluster_errors`: errors and
    coverage of the test rows by cluster, `low` and `high` the 95 % interval of the coverage.
    """
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    columns = {
        "knowledge_tree": {
            "node": whole,
            "parent": whole,
            "branch": text,
            "question": text,
            "time_ratio": real,
            "executions": whole,
        },
        "knob_effects": {
            "setting": text,
            "from_value": text,
            "to_value": text,
            "time_ratio": real,
            "low": real,
            "high": real,
            "configurations": whole,
        },
        "best_settings": {
            "benchmark": text,
            "cluster": text,
            "settings": text,
            "time_s": real,
            "low": real,
            "high": real,
            "executions": text,
        },
        "recommendations": {
            "benchmark": text,
            "cluster": text,
            "configurations": whole,
            "settings": text,
            "predicted_s": real,
            "measured_s": real,
            "best_s": real,
            "regret": real,
        },
        "prediction_errors": {
            "scheme": text,
            "units": whole,
            "rows": whole,
            "mape": real,
            "median_ape": real,
            "median_of_units": real,
            "mae": real,
            "coverage": real,
            "note": text,
        },
        "cluster_errors": {
            "cluster": text,
            "rows": whole,
            "mape": real,
            "median_ape": real,
            "coverage": real,
            "low": real,
            "high": real,
            "verdict": text,
        },
    }
    return {name: pa.schema(list(kinds.items())) for name, kinds in columns.items()}


def error_rows(block: TableBlock) -> pa.Table:
    """Return held-out errors (`validation_table`) as table `prediction_errors`."""
    return _table("prediction_errors", block.rows)


def cluster_error_rows(rows: Sequence[Sequence[object]]) -> pa.Table:
    """Return errors by cluster (`cluster_accuracy.error_rows`) as table `cluster_errors`."""
    return _table("cluster_errors", rows)


def _table(name: str, rows: Sequence[Sequence[object]]) -> pa.Table:
    import pyarrow as pa

    schema = schemas()[name]
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def tree_table(root: TreeNode) -> pa.Table:
    """Return a tree as table `knowledge_tree`."""
    rows: list[tuple[object, ...]] = []

    def add(node: TreeNode, parent: int | None, branch: str | None) -> None:
        number = len(rows)
        rows.append((number, parent, branch, node.question or None, node.ratio, node.executions))
        if node.yes is not None and node.no is not None:
            add(node.yes, number, "yes")
            add(node.no, number, "no")

    add(root, None, None)
    return _table("knowledge_tree", rows)


def tree_of(rows: Sequence[Mapping[str, Any]]) -> TreeNode:
    """Return the tree of the rows of one run's `knowledge_tree`, in any order."""
    from framework_hadoop.knowledge.best_configuration import TreeNode

    def node(row: Mapping[str, Any]) -> TreeNode:
        below = {child["branch"]: node(child) for child in rows if child["parent"] == row["node"]}
        return TreeNode(
            row["question"] or "", row["time_ratio"], row["executions"], below.get("yes"), below.get("no")
        )

    return node(next(row for row in rows if row["parent"] is None))


def effect_rows(effects: Sequence[Effect]) -> pa.Table:
    """Return effects as table `knob_effects`."""
    return _table(
        "knob_effects", [(e.setting, e.base, e.value, e.ratio, e.low, e.high, e.pairs) for e in effects]
    )


def best_rows(found: Sequence[BestConfiguration]) -> pa.Table:
    """Return best configurations as table `best_settings`."""
    return _table(
        "best_settings",
        [
            (
                best.benchmark,
                best.cluster,
                settings_text(best.settings),
                best.time_s.median,
                best.time_s.low,
                best.time_s.high,
                " ".join(best.evidence),
            )
            for best in found
        ],
    )


def settings_text(settings: Mapping[str, object]) -> str:
    """Return settings in one line; a missing value is left out."""
    shown = []
    for name, value in settings.items():
        if value is not None and value == value:
            shown.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    return " ".join(shown)


@dataclass(frozen=True)
class Recommendation:
    """The held-out configuration that is predicted to be fastest, of one benchmark on one cluster.

    Attributes:
        benchmark, cluster: which.
        configurations: held-out configurations it was chosen among.
        settings: its knobs.
        predicted_s, measured_s: predicted and measured time (median of repeats).
        best_s: least measured time among them.
    """

    benchmark: str
    cluster: str
    configurations: int
    settings: Mapping[str, object]
    predicted_s: float
    measured_s: float
    best_s: float

    @property
    def regret(self) -> float:
        """Measured time over the best measured one, minus 1."""
        return self.measured_s / self.best_s - 1.0


def recommendations(executions: Executions, predicted_s: np.ndarray) -> list[Recommendation]:
    """Return a recommendation wherever two configurations of a benchmark on a cluster were measured.

    Args:
        executions: held-out rows; those without a time are left out.
        predicted_s: of each row.
    """
    import numpy as np

    from framework.analysis.prediction.features import group_codes
    from framework_hadoop.knowledge.best_configuration import KNOBS

    columns, found = executions.columns, []
    named = np.array(
        [
            a is not None and b is not None
            for a, b in zip(columns["benchmark"], columns["cluster"], strict=True)
        ]
    )
    rows = np.flatnonzero(executions.finished & named)
    if not len(rows):
        return []
    place = group_codes(executions.rows(rows).columns, ["benchmark", "cluster"])
    configuration = group_codes(executions.rows(rows).columns, executions.configuration)
    for code in range(int(place.max()) + 1):
        here = np.flatnonzero(place == code)
        members = [rows[here[configuration[here] == own]] for own in np.unique(configuration[here])]
        if len(members) < 2:
            continue
        measured = [float(np.median(executions.time_s[part])) for part in members]
        best = min(range(len(members)), key=lambda i: predicted_s[members[i][0]])
        row = int(members[best][0])
        found.append(
            Recommendation(
                str(columns["benchmark"][row]),
                str(columns["cluster"][row]),
                len(members),
                {name: columns[name][row] for name in KNOBS},
                float(predicted_s[row]),
                measured[best],
                min(measured),
            )
        )
    return found


def recommendation_rows(found: Sequence[Recommendation]) -> pa.Table:
    """Return recommendations as table `recommendations`."""
    return _table(
        "recommendations",
        [
            (
                item.benchmark,
                item.cluster,
                item.configurations,
                settings_text(item.settings),
                item.predicted_s,
                item.measured_s,
                item.best_s,
                item.regret,
            )
            for item in found
        ],
    )
