"""What a learner is, and the two that predict by default: gradient boosting and random forest on log time.

Both are trained on the logarithm of the target. Which quantile of log y minimises the mean absolute percentage
error? E|p/y − 1| is least at the median of y under weights 1/y; for y lognormal with deviation σ of log y that is
the quantile Φ(−σ). Repeats of one configuration in published executions scatter by about σ = 0.2 where it matters
(the tail): Φ(−0.2) = 0.42. Boosting fits that quantile instead of the mean, and so shrugs off disturbed runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray
from framework.analysis.prediction.libraries import learning_library

MAPE_QUANTILE = 0.42


class Model(Protocol):
    """A fitted learner."""

    def predict(self, features: Features) -> FloatArray:
        """Return the predicted target of each row, in the target's unit; shape (rows,)."""
        ...


class Learner(Protocol):
    """A way to learn a positive target from features.

    Attributes:
        name: how it is listed.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - documented on the protocol

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """Learn from rows (rows, columns) and a target (rows,) that is positive and finite."""
        ...


@dataclass(frozen=True)
class GradientBoosting:
    """Boosted trees on log target, fitted to the quantile that minimises MAPE (LightGBM).

    Attributes:
        rounds: trees.
        leaves: leaves of a tree.
        learning_rate: shrinkage.
        quantile: of log target; 0.5 for the median.
    """

    rounds: int = 80
    leaves: int = 255
    learning_rate: float = 0.25
    quantile: float = MAPE_QUANTILE

    @property
    def name(self) -> str:
        """How it is listed: candidates of one choice may differ in the size of their trees only."""
        return f"gradient boosting (log), {self.leaves} leaves"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        parameters = {
            "objective": "quantile",
            "alpha": self.quantile,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": leaf_rows(len(features)),
            "feature_fraction": 0.9,
        }
        return LogModel(fit_boosting(features.values, np.log(target), parameters, self.rounds, seed))


def leaf_rows(rows: int) -> int:
    """Return the least number of rows in a leaf: 5 for thousands of rows, down to 2 for dozens."""
    return int(np.clip(rows // 200, 2, 5))


def fit_boosting(
    values: FloatArray, target: FloatArray, parameters: dict[str, Any], rounds: int, seed: int
) -> Any:
    """Return a LightGBM booster: one thread, reproducible, silent. Its `predict` takes values like these."""
    lightgbm = learning_library("lightgbm")
    fixed = {
        "num_threads": 1,  # with a fixed layout below, the same seed gives the same trees
        "force_row_wise": True,
        "verbose": -1,
        "max_bin": 63,
        "min_data_in_bin": 1,
        "seed": seed,
    }
    data = lightgbm.Dataset(values, target)
    return lightgbm.train({**fixed, **parameters}, data, rounds, keep_training_booster=True)


@dataclass(frozen=True)
class LogModel:
    """A model of log target on raw feature values (NaN allowed)."""

    regressor: Any

    def predict(self, features: Features) -> FloatArray:
        """Return exp of the predicted log target."""
        if len(features) == 0:
            return np.zeros(0)
        return np.exp(np.asarray(self.regressor.predict(features.values), dtype=np.float64))


@dataclass(frozen=True)
class RandomForest:
    """A forest of deep trees on log target (scikit-learn); a missing value goes its own way in every tree.

    Attributes:
        trees: number of trees.
    """

    trees: int = 60
    name: str = "random forest (log)"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        ensemble = learning_library("sklearn.ensemble")
        forest = ensemble.RandomForestRegressor(
            n_estimators=self.trees, max_features=0.5, min_samples_leaf=1, n_jobs=1, random_state=seed
        )
        return LogModel(forest.fit(features.values, np.log(target)))
