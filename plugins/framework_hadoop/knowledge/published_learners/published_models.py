"""The learners of the ALOJA-ML paper (KDD 2015, arXiv 1511.02030, table 2), as baselines.

All four learn the target itself, as published, from one-hot categories and scaled numbers. Unlike the published
code none of them sees the target among its predictors.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray, Scaler, one_hot
from framework.analysis.prediction.learners import Model
from framework.analysis.prediction.libraries import learning_library


@dataclass(frozen=True)
class NearestNeighbours:
    """k nearest neighbours: Manhattan distance on one-hot columns in units of their deviation, triangular kernel.

    Attributes:
        neighbours: k.
    """

    neighbours: int = 3
    name: str = "k nearest neighbours"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`; nothing is drawn."""
        scaler = Scaler.fit(features)
        table, _ = one_hot(scaler.scale(features))
        deviation = table.std(axis=0)
        deviation[deviation == 0] = 1.0
        neighbours = learning_library("sklearn.neighbors")
        wanted = min(self.neighbours + 1, len(features))
        index = neighbours.NearestNeighbors(n_neighbors=wanted, metric="manhattan", n_jobs=1)
        return _Neighbours(scaler, deviation, index.fit(table / deviation), target, self.neighbours)


@dataclass(frozen=True)
class _Neighbours:
    scaler: Scaler
    deviation: FloatArray
    index: Any
    target: FloatArray
    neighbours: int

    def predict(self, features: Features) -> FloatArray:
        table, _ = one_hot(self.scaler.scale(features))
        distance, rows = self.index.kneighbors(table / self.deviation)
        near, far = distance[:, : self.neighbours], distance[:, -1:]
        # the kernel reaches to the neighbour after the last; equal distances share equally
        weight = np.where(far > 0, 1.0 - near / np.maximum(far, 1e-300), 1.0) + 1e-9
        chosen = self.target[rows[:, : self.neighbours]]
        return np.asarray((weight * chosen).sum(axis=1) / weight.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Polynomial:
    """Least squares on powers of the numbers, their pairwise products, and the levels of the categories.

    Attributes:
        degree: highest power; 1 is plain linear regression.
    """

    degree: int = 3
    name: str = "polynomial regression"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`; nothing is drawn."""
        scaler = Scaler.fit(features)
        model = _Linear(scaler, self.degree, np.zeros(0), (float(target.min()), float(target.max())))
        table = model.design(features)
        normal = table.T @ table + 1e-6 * len(features) * np.eye(table.shape[1])
        weights = np.asarray(np.linalg.solve(normal, table.T @ target), dtype=np.float64)
        return _Linear(scaler, self.degree, weights, model.limits)


@dataclass(frozen=True)
class _Linear:
    scaler: Scaler
    degree: int
    weights: FloatArray
    limits: tuple[float, float]

    def design(self, features: Features) -> FloatArray:
        scaled = self.scaler.scale(features)
        flat, _ = one_hot(scaled)
        places = [i for i, levels in enumerate(features.levels) if levels is None]
        # beyond three deviations a cube runs away; a row outside the training range is held at its edge
        numbers = np.clip(np.nan_to_num(scaled.values[:, places], nan=0.0), -3.0, 3.0)
        parts = [np.ones((len(features), 1)), flat]
        parts += [numbers**power for power in range(2, self.degree + 1)]
        if self.degree > 1:
            parts += [
                (numbers[:, [a]] * numbers[:, [b]]) for a, b in combinations(range(numbers.shape[1]), 2)
            ]
        return np.hstack(parts)

    def predict(self, features: Features) -> FloatArray:
        # a time is positive: predictions stay within what was seen
        return np.clip(self.design(features) @ self.weights, *self.limits)


@dataclass(frozen=True)
class NeuralNet:
    """A feed-forward net with one hidden layer; inputs and target are scaled.

    Attributes:
        hidden: units of the hidden layer.
        iterations: steps of the optimiser, at most (as published; with 200 the error nearly doubles).
        decay: weight decay.
    """

    hidden: int = 5
    iterations: int = 1000
    decay: float = 5e-4
    name: str = "neural net"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        networks = learning_library("sklearn.neural_network")
        scaler = Scaler.fit(features)
        table, _ = one_hot(scaler.scale(features))
        mean, deviation = float(target.mean()), float(target.std()) or 1.0
        net = networks.MLPRegressor(
            hidden_layer_sizes=(self.hidden,),
            alpha=self.decay,
            max_iter=self.iterations,
            solver="lbfgs",
            random_state=seed,
        )
        limits = (float(target.min()), float(target.max()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # reaching the last iteration is how the published net ends, too
            net.fit(table, (target - mean) / deviation)
        return _Net(scaler, net, mean, deviation, limits)


@dataclass(frozen=True)
class _Net:
    scaler: Scaler
    net: Any
    mean: float
    deviation: float
    limits: tuple[float, float]

    def predict(self, features: Features) -> FloatArray:
        table, _ = one_hot(self.scaler.scale(features))
        found = np.asarray(self.net.predict(table), dtype=np.float64) * self.deviation + self.mean
        return np.clip(found, *self.limits)
