"""Prediction intervals with a guarantee: conformalised quantile regression of held-out residuals.

Residuals are of log target, from models that had not seen the row. Their 5 % and 95 % quantiles are regressed on
the features (so that a noisy corner gets a wide interval), and then widened or narrowed by the conformal
correction: the score of a row is by how much of the interval's width it is outside, and the correction is the
⌈(n+1)(1−α)⌉/n quantile of the scores (Romano, Patterson, Candès, "Conformalized quantile regression", NeurIPS 2019,
with the scores normalised by the width, as in Kivaranovic et al., AISTATS 2020). The regressions are cross-fitted,
so no score comes from a regression that saw its row. Scores are pooled by class (Mondrian): rows whose
configuration was seen in training and rows whose configuration is new get corrections of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framework.analysis.prediction.features import FloatArray, IntArray
from framework.analysis.prediction.learners import fit_boosting

_LEAST_WIDTH = 0.02  # of log target: two seconds in a hundred, the resolution of a wall-clock second
_ROUNDS = 20
_ROWS_FOR_REGRESSION = 600


@dataclass(frozen=True)
class ResidualIntervals:
    """Intervals around predictions of log target.

    Attributes:
        level: nominal coverage.
        correction: widths to add on either side, by class.
    """

    level: float
    correction: dict[int, float]
    _lower: Sequence[Any]
    _upper: Sequence[Any]
    _constant: tuple[float, float]

    @classmethod
    def fit(
        cls,
        values: FloatArray,
        residual: FloatArray,
        classes: IntArray,
        level: float,
        weight: FloatArray | None = None,
        seed: int = 0,
    ) -> ResidualIntervals:
        """Learn from held-out rows.

        Args:
            values: features of the rows, shape (n, k), the predicted log target among them.
            residual: log target minus its held-out prediction, shape (n,).
            classes: class of each row; classes are corrected apart.
            level: nominal coverage, between 0 and 1.
            weight: weight of each row's score (rows of one group share its weight); equal if None.
            seed: of the halves.
        """
        tail = (1.0 - level) / 2.0
        lower: list[Any] = []
        upper: list[Any] = []
        constant = (float(np.quantile(residual, tail)), float(np.quantile(residual, 1.0 - tail)))
        low, high = np.full(len(residual), constant[0]), np.full(len(residual), constant[1])
        if weight is None and len(residual) >= _ROWS_FOR_REGRESSION:
            half = np.random.default_rng(seed).random(len(residual)) < 0.5
            for learned, scored in ((half, ~half), (~half, half)):
                lower.append(_quantile(values[learned], residual[learned], tail, seed))
                upper.append(_quantile(values[learned], residual[learned], 1.0 - tail, seed))
                low[scored] = lower[-1].predict(values[scored])
                high[scored] = upper[-1].predict(values[scored])
        width = np.maximum(high - low, _LEAST_WIDTH)
        score = np.maximum(low - residual, residual - high) / width
        weights = np.ones(len(residual)) if weight is None else weight
        correction = {
            int(kind): _conformal_quantile(score[classes == kind], weights[classes == kind], level)
            for kind in np.unique(classes)
        }
        return cls(level, correction, lower, upper, constant)

    def offsets(self, values: FloatArray, classes: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return (low, high) to add to the predicted log target of each row; low ≤ high."""
        rows = values.shape[0]
        if rows == 0:
            return np.zeros(0), np.zeros(0)
        low, high = np.full(rows, self._constant[0]), np.full(rows, self._constant[1])
        if self._lower:
            low = np.mean([model.predict(values) for model in self._lower], axis=0)
            high = np.mean([model.predict(values) for model in self._upper], axis=0)
        width = np.maximum(high - low, _LEAST_WIDTH)
        worst = max(self.correction.values())  # a class without scores of its own gets the widest
        more = np.array([self.correction.get(int(kind), worst) for kind in classes]) * width
        low, high = low - more, high + more
        crossed = low > high
        middle = (low + high) / 2
        return np.where(crossed, middle, low), np.where(crossed, middle, high)


def _quantile(values: FloatArray, residual: FloatArray, quantile: float, seed: int) -> Any:
    parameters = {
        "objective": "quantile",
        "alpha": quantile,
        "num_leaves": 15,
        "learning_rate": 0.2,
        "min_data_in_leaf": max(20, len(residual) // 200),
    }
    return fit_boosting(values, residual, parameters, _ROUNDS, seed)


def _conformal_quantile(score: FloatArray, weight: FloatArray, level: float) -> float:
    """Return the weighted score quantile at (1 + 1/n) · level; the largest score when rows are too few for it."""
    order = np.argsort(score)
    effective = weight.sum() ** 2 / (weight**2).sum()
    share = np.cumsum(weight[order]) / weight.sum()
    wanted = min(1.0, level * (1.0 + 1.0 / effective))
    position = int(np.searchsorted(share, wanted - 1e-12))
    return float(score[order[min(position, len(score) - 1)]])
