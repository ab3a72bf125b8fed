"""Regression tree with a linear model in each leaf (M5P-like), the best learner of the ALOJA-ML paper.

The published code grows an `rpart` tree (cp 0.001), picks the least number of rows of a split among 1, 2, 5 and 10
by validation error, and fits a linear model on one-hot columns in each leaf. Here the rows are fixed (5, the
paper's best) and a leaf's linear model is ridge-damped, so that a leaf with few rows stays at its mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray, Scaler, one_hot
from framework.analysis.prediction.learners import Model
from framework.analysis.prediction.libraries import learning_library


@dataclass(frozen=True)
class ModelTree:
    """Tree with linear leaves.

    Attributes:
        split_rows: rows below which a node is not split.
        complexity: impurity decrease, as a share of the root's variance, that a split must bring.
        damping: ridge penalty in a leaf, in rows.
        log_target: learn log target instead of the target.
    """

    split_rows: int = 5
    complexity: float = 1e-5
    damping: float = 1.0
    log_target: bool = False
    name: str = "regression tree (M5P)"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        trees = learning_library("sklearn.tree")
        y = np.log(target) if self.log_target else target
        scaler = Scaler.fit(features)
        table, _ = one_hot(scaler.scale(features))
        tree = trees.DecisionTreeRegressor(
            min_samples_split=max(2, self.split_rows),
            min_impurity_decrease=self.complexity * float(np.var(y)),
            random_state=seed,
        ).fit(table, y)
        leaf_of_row = tree.apply(table)
        order = np.argsort(leaf_of_row, kind="stable")
        leaves, starts = np.unique(leaf_of_row[order], return_index=True)
        lines = {
            int(leaf): self._line(table[rows], y[rows])
            for leaf, rows in zip(leaves, np.split(order, starts[1:]), strict=True)
        }
        return _LinearLeaves(scaler, tree, lines, self.log_target)

    def _line(self, table: FloatArray, y: FloatArray) -> _LeafLine:
        """Return the damped least-squares line of one leaf, on the columns that vary in it."""
        varying = np.flatnonzero(table.min(axis=0) < table.max(axis=0))
        centre, mean = table[:, varying].mean(axis=0), float(y.mean())
        x = table[:, varying] - centre
        # the small side of the two equal forms: rows × rows where a leaf has fewer rows than columns
        if len(y) < len(varying):
            slopes = x.T @ np.linalg.solve(x @ x.T + self.damping * np.eye(len(y)), y - mean)
        else:
            slopes = np.linalg.solve(x.T @ x + self.damping * np.eye(len(varying)), x.T @ (y - mean))
        return _LeafLine(varying, centre, slopes, mean, (float(y.min()), float(y.max())))


@dataclass(frozen=True)
class _LeafLine:
    columns: Any
    centre: FloatArray
    slopes: FloatArray
    mean: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class _LinearLeaves:
    scaler: Scaler
    tree: Any
    lines: dict[int, _LeafLine]
    log_target: bool

    def predict(self, features: Features) -> FloatArray:
        table, _ = one_hot(self.scaler.scale(features))
        found = np.zeros(len(features))
        if len(features) == 0:
            return found
        leaf_of_row = self.tree.apply(table)
        for leaf in np.unique(leaf_of_row):
            rows = np.flatnonzero(leaf_of_row == leaf)
            line = self.lines[int(leaf)]
            values = line.mean + (table[np.ix_(rows, line.columns)] - line.centre) @ line.slopes
            # a line far outside its leaf's rows is worth less than the leaf itself
            found[rows] = np.clip(values, *line.limits)
        return np.exp(found) if self.log_target else found
