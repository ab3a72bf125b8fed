"""The small tree that is kept beside the boosted ones, to be read: as lines, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from framework.analysis.prediction.libraries import learning_library
from framework.contracts import Figure, Json
from framework_serving.advice.capacity.adapter_sums import FloatArray

SmallTree = Mapping[str, Json]
"""A node: `rows` learned from and `factor`, their mean capacity / estimate; one that asks has `feature`, `threshold`,
and the nodes `below` (at most the threshold) and `above`."""
_LEAVES = 12
_MOST_SHARE = 60
_ROW_PX, _MARGINS_PX = 44, 40


def fitted_tree(features: FloatArray, target: FloatArray) -> Any:
    """Return scikit-learn's tree of a dozen leaves, each with at least a sixtieth of the rows."""
    leaf = max(10, len(target) // _MOST_SHARE)
    trees = learning_library("sklearn.tree")
    return trees.DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=leaf, random_state=0).fit(
        features, target
    )


def nodes_of(fitted: Any, names: Sequence[str]) -> SmallTree:
    """Return a fitted tree of log(capacity / estimate) as plain values."""
    tree = fitted.tree_

    def node(place: int) -> dict[str, Json]:
        found: dict[str, Json] = {
            "rows": int(tree.n_node_samples[place]),
            "factor": float(np.exp(tree.value[place][0][0])),
        }
        if tree.children_left[place] >= 0:
            found["feature"], found["threshold"] = names[tree.feature[place]], float(tree.threshold[place])
            found["below"], found["above"] = (
                node(tree.children_left[place]),
                node(tree.children_right[place]),
            )
        return found

    return node(0)


def shown(name: str, value: float) -> str:
    """Return a feature's value in its own unit: most are kept as logarithms."""
    plain = name.endswith("_cv") or name.startswith(("crowd", "own"))
    return f"{value if plain else float(np.exp(value)):.3g}"


def tree_lines(tree: SmallTree) -> Iterator[str]:
    """Yield a line a question and a line a leaf, indented by depth."""
    yield from _lines(tree, "")


def _lines(node: Any, pad: str) -> Iterator[str]:
    if "feature" not in node:
        yield f"{pad}capacity = estimate × {node['factor']:.2f}  ({node['rows']} rows)"
        return
    for side in ("below", "above"):
        yield f"{pad}{_condition(node, side)}"
        yield from _lines(node[side], pad + "|  ")


def _condition(node: Any, side: str) -> str:
    sign = "<=" if side == "below" else ">"
    return f"{node['feature']} {sign} {shown(node['feature'], node['threshold'])}"


def tree_figure(tree: SmallTree) -> Figure:
    """Return the drawing: the first question at the left, leaves at the right, coloured by their factor."""
    places: list[tuple[float, float, Any]] = []
    edges: list[tuple[float, float, float, float, str]] = []
    leaves = iter(range(1000))

    def place(node: Any, depth: int) -> float:
        if "feature" not in node:
            height = -float(next(leaves))
        else:
            heights = {side: place(node[side], depth + 1) for side in ("below", "above")}
            height = sum(heights.values()) / 2
            edges.extend(
                (depth, height, depth + 1, end, _condition(node, side)) for side, end in heights.items()
            )
        places.append((depth, height, node))
        return height

    place(tree, 0)
    lines: dict[str, Json] = {
        "type": "scatter",
        "mode": "lines",
        "x": [value for x0, _, x1, _, _ in edges for value in (x0, x0, x1, None)],
        "y": [value for _, y0, _, y1, _ in edges for value in (y0, y1, y1, None)],
        "line": {"color": "#999999", "width": 1},
        "hoverinfo": "skip",
    }
    factors = [node["factor"] for _, _, node in places]
    nodes: dict[str, Json] = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [x for x, _, _ in places],
        "y": [y for _, y, _ in places],
        "text": [
            f"× {node['factor']:.2f}, {node['rows']} rows" if "feature" not in node else ""
            for *_, node in places
        ],
        "textposition": "middle right",
        "hovertext": [f"× {node['factor']:.2f} in the mean of {node['rows']} rows" for *_, node in places],
        "hoverinfo": "text",
        "cliponaxis": False,
        "marker": {
            "size": [6 + 24 * (node["rows"] / places[-1][2]["rows"]) ** 0.5 for *_, node in places],
            "color": factors,
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": "capacity / estimate"}},
        },
    }
    words = [
        {
            "x": x1,
            "y": y1,
            "text": text,
            "showarrow": False,
            "xanchor": "right",
            "yanchor": "bottom",
            "xshift": -10,
        }
        for _, _, x1, y1, text in edges
    ]
    hidden = {"visible": False}
    depth = max(x for x, _, _ in places)
    return Figure(
        "When the rough estimate of the capacity is corrected",
        {
            "data": [lines, nodes],
            "layout": {
                "showlegend": False,
                "xaxis": {**hidden, "range": [-0.2, depth + 1.0]},
                "yaxis": hidden,
                "annotations": words,
                "height": _MARGINS_PX + _ROW_PX * sum("feature" not in node for *_, node in places),
            },
        },
        "A small tree of the same rows as the learned model, read from the left. The area of a circle is the number "
        "of its rows. Features: docs/advisors.md.",
    )
