"""What the executions teach, in words: a small tree of what matters, and the best configuration with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, FloatArray, group_codes, one_hot
from framework.analysis.prediction.libraries import learning_library
from framework_hadoop.effectiveness import Spread, median_spread, pooled_relative_spread
from framework_hadoop.execution_features import execution_features, execution_predictor
from framework_hadoop.executions import CONFIGURATION, Executions

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


def representative_tree(executions: Executions, leaves: int = 8) -> TreeNode:
    """Return a small tree that tells by knobs and hardware how executions differ from their benchmark's median.

    The tree is grown on the predictions of the full model, not on the raw times, so that a disturbed run is no
    reason for a branch (as ALOJA-ML does with its sorted predictions).

    Raises:
        ValueError: fewer than two executions have a time.
    """
    known = executions.rows(np.flatnonzero(executions.finished))
    columns = execution_features(known)
    predicted = execution_predictor().fit(columns, known.time_s).predict(columns).predicted
    usual = _benchmark_medians(known)
    knobs = {name: known.columns[name] for name in (*KNOBS, *HARDWARE)}
    features = FeatureEncoder.fit(knobs).encode(knobs)
    table, names = one_hot(features)
    trees = learning_library("sklearn.tree")
    tree = trees.DecisionTreeRegressor(
        max_leaf_nodes=max(2, leaves), min_samples_leaf=max(1, len(known) // 200), random_state=0
    ).fit(table, np.log(predicted / usual))
    reached = tree.decision_path(table).tocsc()
    return _node(tree.tree_, 0, names, reached, known.time_s / usual)


def _benchmark_medians(executions: Executions) -> FloatArray:
    codes = group_codes(executions.columns, ["benchmark"])
    medians = np.array([np.median(executions.time_s[codes == code]) for code in range(int(codes.max()) + 1)])
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
    points: list[tuple[float, int, str]] = []
    edges: list[tuple[float, int, float, int]] = []

    def place(node: TreeNode, depth: int, next_leaf: list[int]) -> float:
        if node.yes is None or node.no is None:
            x = float(next_leaf[0])
            next_leaf[0] += 1
            text = f"× {node.ratio:.2f}<br>{node.executions}"
        else:
            left, right = place(node.yes, depth + 1, next_leaf), place(node.no, depth + 1, next_leaf)
            x, text = (left + right) / 2, f"{node.question}?"
            edges.extend([(x, -depth, left, -depth - 1), (x, -depth, right, -depth - 1)])
        points.append((x, -depth, text))
        return x

    place(root, 0, [0])
    line_x = [value for a, _, b, _ in edges for value in (a, b, None)]
    line_y = [value for _, a, _, b in edges for value in (a, b, None)]
    return {
        "data": [
            {"type": "scatter", "mode": "lines", "x": line_x, "y": line_y, "hoverinfo": "skip"},
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [x for x, _, _ in points],
                "y": [y for _, y, _ in points],
                "text": [text for _, _, text in points],
                "textposition": "bottom center",
                "marker": {"size": 10},
            },
        ],
        "layout": {"showlegend": False, "xaxis": {"visible": False}, "yaxis": {"visible": False}},
    }


@dataclass(frozen=True)
class BestConfiguration:
    """The recommended configuration of a benchmark on a cluster.

    Attributes:
        settings: the knobs, by our names.
        time_s: median of its runs with interval; of the prediction where it was never run.
        measured: whether it was run.
        evidence: ids of the executions it leans on.
    """

    settings: Mapping[str, object]
    time_s: Spread
    measured: bool
    evidence: tuple[str, ...]


def best_configuration(
    executions: Executions, benchmark: str, cluster: str, level: float = 0.9
) -> BestConfiguration:
    """Return the configuration with the least certain-enough time: lowest upper end of its interval.

    A configuration that was run once gets the spread that repeats show elsewhere on the cluster, so the luckiest
    single run does not win by being lucky.

    Raises:
        ValueError: the benchmark was never run on the cluster.
    """
    columns = executions.columns
    here = (columns["benchmark"] == benchmark) & (columns["cluster"] == cluster) & executions.finished
    rows = np.flatnonzero(here)
    if not len(rows):
        raise ValueError(f"no execution of '{benchmark}' on cluster '{cluster}'")
    codes = group_codes(executions.rows(rows).columns, CONFIGURATION)
    members = [rows[codes == code] for code in np.unique(codes)]
    noise = pooled_relative_spread([executions.time_s[part] for part in members])
    spreads = [median_spread(executions.time_s[part], noise, level) for part in members]
    best = min(range(len(members)), key=lambda i: spreads[i].high)
    row = int(members[best][0])
    ids = tuple(str(columns["execution_id"][i]) for i in members[best])
    return BestConfiguration({name: columns[name][row] for name in KNOBS}, spreads[best], True, ids)
