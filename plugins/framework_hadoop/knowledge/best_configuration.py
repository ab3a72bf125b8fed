"""What the executions teach, in words: a small tree of what matters, and the best configuration with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.analysis.prediction.features import Column, FeatureEncoder, FloatArray, group_codes, one_hot
from framework.analysis.prediction.libraries import learning_library
from framework_hadoop.executions.effectiveness import Query, Spread
from framework_hadoop.executions.execution_features import execution_features, execution_predictor
from framework_hadoop.executions.execution_table import Executions

KNOBS = (
    "network",
    "disk",
    "map_slots",
    "io_sort_factor",
    "replication",
    "io_file_buffer_bytes",
    "codec",
    "block_size_mb",
)
HARDWARE = ("data_nodes", "cores_per_node", "memory_per_node_gb")


@dataclass(frozen=True)
class TreeNode:
    """A node of the representative tree.

    Attributes:
        question: `codec=zlib` or `map_slots ≤ 6`; empty in a leaf.
        ratio: median over its executions of time over the median time of their benchmark.
        executions: how many there are.
        yes, no: the branches; None in a leaf.
    """

    question: str
    ratio: float
    executions: int
    yes: TreeNode | None = None
    no: TreeNode | None = None


def representative_tree(
    settings: Mapping[str, Column],
    benchmark: Column,
    time_s: FloatArray,
    predicted_s: FloatArray,
    leaves: int = 8,
) -> TreeNode:
    """Return a small tree that shows by settings how executions differ from their benchmark's median.

    The tree is grown on the predictions of the full model, not on the raw times, so that a disturbed run is no
    reason for a branch (as ALOJA-ML does with its sorted predictions).

    Args:
        settings: what it may ask for: knobs and hardware.
        benchmark: of each execution.
        time_s, predicted_s: of each execution, shape (rows,).
        leaves: at most.
    """
    usual = _benchmark_medians(benchmark, time_s)
    features = FeatureEncoder.fit(settings).encode(settings)
    table, names = one_hot(features)
    if not names:
        return TreeNode("", float(np.median(time_s / usual)), len(time_s))
    trees = learning_library("sklearn.tree")
    tree = trees.DecisionTreeRegressor(
        max_leaf_nodes=max(2, leaves), min_samples_leaf=max(1, len(time_s) // 200), random_state=0
    ).fit(table, np.log(predicted_s / usual))
    reached = tree.decision_path(table).tocsc()
    return _node(tree.tree_, 0, names, reached, time_s / usual)


def execution_tree(executions: Executions, leaves: int = 8) -> TreeNode:
    """Return the representative tree of recorded executions, over knobs and hardware.

    Raises:
        ValueError: fewer than two executions have a time.
    """
    known = executions.rows(np.flatnonzero(executions.finished))
    columns = execution_features(known)
    predicted = (
        execution_predictor(configuration=known.configuration)
        .fit(columns, known.time_s)
        .predict_points(columns)
    )
    return tree_of_executions(known, predicted, leaves)


def tree_of_executions(known: Executions, predicted_s: FloatArray, leaves: int = 8) -> TreeNode:
    """Return the representative tree of executions that all have a time and a prediction."""
    settings = {name: known.columns[name] for name in (*KNOBS, *HARDWARE, *known.own)}
    return representative_tree(settings, known.columns["benchmark"], known.time_s, predicted_s, leaves)


def _benchmark_medians(benchmark: Column, time_s: FloatArray) -> FloatArray:
    codes = group_codes({"benchmark": benchmark}, ["benchmark"])
    medians = np.array([np.median(time_s[codes == code]) for code in range(int(codes.max()) + 1)])
    found: FloatArray = medians[codes]
    return found


def _node(tree: Any, node: int, names: Sequence[str], reached: Any, ratio: FloatArray) -> TreeNode:
    rows = reached.indices[reached.indptr[node] : reached.indptr[node + 1]]
    median, count = float(np.median(ratio[rows])), len(rows)
    if tree.children_left[node] < 0:
        return TreeNode("", median, count)
    name, threshold = names[tree.feature[node]], float(tree.threshold[node])
    low = _node(tree, int(tree.children_left[node]), names, reached, ratio)
    high = _node(tree, int(tree.children_right[node]), names, reached, ratio)
    if "=" in name:
        return TreeNode(name, median, count, yes=high, no=low)
    return TreeNode(f"{name} ≤ {threshold:g}", median, count, yes=low, no=high)


def tree_text(node: TreeNode, indent: str = "") -> str:
    """Return the tree as indented lines."""
    if node.yes is None or node.no is None:
        return f"{indent}→ × {node.ratio:.2f} ({node.executions} executions)"
    return "\n".join(
        [
            f"{indent}{node.question}?",
            tree_text(node.yes, indent + "  yes "),
            tree_text(node.no, indent + "  no  "),
        ]
    )


def tree_figure(root: TreeNode) -> dict[str, Any]:
    """Return the tree as a Plotly figure: nodes with question or median ratio, edges with yes and no."""
    inner: list[tuple[float, int, str]] = []
    leaves: list[tuple[float, int, str]] = []
    edges: list[tuple[float, float, int, str]] = []

    def place(node: TreeNode, depth: int) -> float:
        if node.yes is None or node.no is None:
            x = float(len(leaves))
            leaves.append((x, -depth, f"× {node.ratio:.2f}<br>{node.executions}"))
            return x
        left, right = place(node.yes, depth + 1), place(node.no, depth + 1)
        x = (left + right) / 2
        inner.append((x, -depth, f"{node.question}?"))
        edges.extend([(x, left, -depth, "yes"), (x, right, -depth, "no")])
        return x

    place(root, 0)
    deepest = max(-y for _, y, _ in leaves)
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": [value for x, below, _, _ in edges for value in (x, below, None)],
                "y": [value for _, _, y, _ in edges for value in (y, y - 1, None)],
                "line": {"width": 1},
                "hoverinfo": "skip",
            },
            _labels([((x + below) / 2, y - 0.5, word) for x, below, y, word in edges], "middle center"),
            _labels(inner, "top center", marker=7),
            _labels(leaves, "bottom center", marker=9),
        ],
        "layout": {
            "showlegend": False,
            "height": 130 + 85 * deepest,
            "xaxis": {"visible": False, "range": [-0.7, len(leaves) - 0.3]},
            "yaxis": {"visible": False, "range": [-deepest - 0.8, 0.6]},
        },
    }


def _labels(points: Sequence[tuple[float, float, str]], position: str, marker: int = 0) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers+text" if marker else "text",
        "x": [x for x, _, _ in points],
        "y": [y for _, y, _ in points],
        "text": [text for _, _, text in points],
        "textposition": position,
        "marker": {"size": marker},
        "cliponaxis": False,
        "hoverinfo": "skip",
    }


@dataclass(frozen=True)
class BestConfiguration:
    """The recommended configuration of a benchmark on a cluster.

    Attributes:
        benchmark, cluster: which.
        settings: the knobs, by our names.
        time_s: median of its runs with interval.
        evidence: ids of the executions it is based on.
    """

    benchmark: str
    cluster: str
    settings: Mapping[str, object]
    time_s: Spread
    evidence: tuple[str, ...]


def best_configurations(
    query: Query, executions: Executions, benchmark: str | None = None, cluster: str | None = None
) -> list[BestConfiguration]:
    """Return for each benchmark on each cluster the configuration with the lowest upper end of its interval.

    A configuration that was run once gets the spread that repeats show elsewhere, so the luckiest single run does
    not win by being lucky (view `best_configurations`).

    Args:
        query: over the executions (`file_query`).
        executions: the same.
        benchmark, cluster: the only ones to look at; None for all.

    Raises:
        ValueError: the benchmark was never run on the cluster.
    """
    rows = query(
        "SELECT benchmark, cluster, time_s, time_low, time_high, run_ids FROM best_configurations "
        "WHERE benchmark = coalesce(?, benchmark) AND cluster = coalesce(?, cluster) ORDER BY 1, 2",
        [benchmark, cluster],
    )
    if not rows and benchmark and cluster:
        raise ValueError(f"no execution of '{benchmark}' on cluster '{cluster}'")
    columns = executions.columns
    return [
        BestConfiguration(
            name,
            place,
            {knob: columns[knob][int(run_ids[0])] for knob in KNOBS},
            Spread(median, low, high),
            tuple(str(columns["execution_id"][int(run_id)]) for run_id in run_ids),
        )
        for name, place, median, low, high, run_ids in rows
    ]
