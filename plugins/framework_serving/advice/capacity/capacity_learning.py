"""From boundaries to a model: the rows to learn from, folds of whole populations, the learners that are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from framework.analysis.prediction.libraries import learning_library
from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import FloatArray
from framework_serving.advice.capacity.boundary import Boundary
from framework_serving.advice.capacity.capacity_data import CapacityData, Example
from framework_serving.advice.capacity.capacity_features import FEATURES, CapacityRows, rows_of
from framework_serving.advice.capacity.capacity_model import (
    CapacityModel,
    by_limit,
    fit_trees,
)
from framework_serving.advice.capacity.small_tree import fitted_tree, nodes_of
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from framework_serving.metrics.shared_rules import STARVED_BELOW

FOLDS = 5
LEAST_POPULATIONS = 10
_SIZES = (0.6, 1.0, 1.4)
"""Numbers of adapters, relative to those served, at which a boundary is learned: its population looks alike there."""
_RATIOS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.15, 1.3, 1.6, 2.0)


@dataclass(frozen=True, eq=False)
class LearningRows:
    """Rows to learn from.

    Attributes:
        rows: features and estimates.
        target: log(capacity / estimate), shape (rows,).
        population: place of the example of each row.
        at_boundary: the row has the number of adapters that is served: one a boundary.
        weight: of each row.
        shares: (load / capacity, share served, place of the example) of every simulation.
        held: learner → held-out predictions, where they are known.
    """

    rows: CapacityRows
    target: FloatArray
    population: np.ndarray
    at_boundary: np.ndarray
    weight: FloatArray
    shares: FloatArray
    held: dict[str, FloatArray] = field(default_factory=dict)


def learning_rows(data: CapacityData) -> LearningRows:
    """Return the rows of all boundaries that were enclosed.

    Raises:
        UserError: too few populations.
    """
    if len(data.examples) < LEAST_POPULATIONS:
        raise UserError(
            f"{len(data.examples)} populations simulated; learning needs {LEAST_POPULATIONS}: "
            "python -m framework learn-adapters --populations N"
        )
    parts: list[CapacityRows] = []
    target, owner, at, shares = [], [], [], []
    for place, example in enumerate(data.examples):
        engine = data.probes[example.engine]
        population = WorkloadPopulation(example.workload)
        for boundary in example.boundaries:
            if not enclosed(boundary):
                continue
            loads = {
                point.adapters: float(population.adapters(point.adapters).load_tok_s.sum())
                for point in boundary.points
            }
            capacity = boundary_tok_s(boundary, loads)
            for point in boundary.points:
                shares.append((loads[point.adapters] / capacity, point.share or 0.0, place))
            for size in _SIZES:
                n = max(1, round(size * boundary.adapters))
                row = rows_of(population.adapters(n), np.array([float(boundary.slots)]), engine)
                parts.append(row)
                target.append(np.log(capacity / row.estimate_tok_s[0]))
                owner.append(place)
                at.append(size == 1.0)
    rows = joined(parts)
    return LearningRows(
        rows,
        np.array(target),
        np.array(owner),
        np.array(at),
        np.where(at, 1.0, 0.5),
        np.array(shares),
    )


def joined(parts: Sequence[CapacityRows]) -> CapacityRows:
    """Return rows one after the other."""
    return CapacityRows(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.estimate_tok_s for part in parts]),
        np.concatenate([part.load_tok_s for part in parts]),
    )


def enclosed(boundary: Boundary) -> bool:
    """Return whether some adapters are served and more are known to starve, so that there is a capacity."""
    return bool(boundary.adapters) and boundary.fails is not None


def boundary_tok_s(boundary: Boundary, loads: Mapping[int, float]) -> float:
    """Return the load at which a boundary's served share falls to 0.9, between the two numbers that enclose it.

    `loads`: number of adapters → what they ask for.
    """
    assert boundary.fails is not None
    by_count = {point.adapters: point.share or 1e-3 for point in boundary.points}
    above, below = by_count[boundary.adapters], max(by_count[boundary.fails], 1e-3)
    place = np.log(above / STARVED_BELOW) / np.log(above / below)
    low, high = loads[boundary.adapters], loads[boundary.fails]
    return float(low * (high / low) ** np.clip(place, 0.0, 1.0))


def fold_of(data: CapacityData) -> np.ndarray:
    """Return the fold of each example: one population is in one fold, on whichever engine."""
    return np.array([example.index % FOLDS for example in data.examples])


def fit(data: CapacityData, learned: LearningRows, without: int | None = None) -> CapacityModel:
    """Return the model; `without`: leave the populations of this fold out, and say nothing of errors."""
    folds = fold_of(data)[learned.population]
    use = np.ones(len(folds), bool) if without is None else folds != without
    features, target = learned.rows.features[use], learned.target[use]
    booster = fit_trees(features, target, learned.weight[use])
    tree = fitted_tree(features, target)
    residuals: dict[str, tuple[float, ...]] = {}
    at = learned.at_boundary
    error = learned.target - _held_by_boosting(learned, folds)
    for name, mine in by_limit(learned.rows.features).items():
        known = at & use  # what is left out says nothing of its own band
        values = error[known & mine] if (known & mine).sum() >= 20 else error[known]
        residuals[name] = tuple(float(item) for item in np.sort(values))
    seen = fold_of(data)[learned.shares[:, 2].astype(int)]
    shares = learned.shares if without is None else learned.shares[seen != without]
    ranges = {
        name: (float(features[:, place].min()), float(features[:, place].max()))
        for place, name in enumerate(FEATURES)
    }
    examples = [item for item in data.examples if without is None or item.index % FOLDS != without]
    return CapacityModel(
        booster.model_to_string(),
        nodes_of(tree, FEATURES),
        residuals,
        _served_curve(shares),
        ranges,
        {
            "capacity_median_percent": float(100 * np.median(np.abs(error[at]))),
            "capacity_p90_percent": float(100 * np.quantile(np.abs(error[at]), 0.9)),
        },
        data.probes,
        data.content_hash,
        len({(item.engine, item.index) for item in examples}),
    )


def _held_by_boosting(learned: LearningRows, folds: np.ndarray) -> FloatArray:
    """Return held-out predictions, once for all models of a data set: only bands and risks come from them."""
    if "boosting" not in learned.held:
        learned.held["boosting"] = held_out(learned, folds, "boosting")
    return learned.held["boosting"]


LEARNERS = ("estimate alone", "linear", "small tree", "boosting")


def held_out(
    learned: LearningRows, folds: np.ndarray, learner: str, use: np.ndarray | None = None
) -> FloatArray:
    """Return log(capacity / estimate) of each row as predicted without its fold; shape (rows,)."""
    use = np.ones(len(folds), bool) if use is None else use
    found = np.full(len(folds), np.nan)
    for fold in np.unique(folds[use]):
        train = use & (folds != fold)
        predict = _fitted(learner, learned, train)
        mine = use & (folds == fold)
        found[mine] = predict(learned.rows.features[mine])
    return found


def _fitted(learner: str, learned: LearningRows, train: np.ndarray) -> Callable[[FloatArray], Any]:
    features, target = learned.rows.features[train], learned.target[train]
    if learner == "estimate alone":
        constant = float(np.median(target))
        return lambda rows: np.full(len(rows), constant)
    if learner == "linear":
        linear = learning_library("sklearn.linear_model")
        scaler = learning_library("sklearn.preprocessing").StandardScaler().fit(features)
        ridge = linear.Ridge(3.0).fit(scaler.transform(features), target)
        return lambda rows: ridge.predict(scaler.transform(rows))
    if learner == "small tree":
        return fitted_tree(features, target).predict  # type: ignore[no-any-return]
    return fit_trees(features, target, learned.weight[train]).predict  # type: ignore[no-any-return]


def _served_curve(shares: FloatArray) -> tuple[tuple[float, float], ...]:
    """Return the median share of tokens served by load / capacity; falls with the load, 0.9 at 1."""
    curve = []
    last = 1.0
    for low, high in itertools.pairwise(_RATIOS):
        inside = shares[(shares[:, 0] >= low) & (shares[:, 0] < high), 1]
        middle = (low + high) / 2
        if len(inside) >= 5:
            last = min(last, float(np.median(inside)))
        elif middle > 1:
            last = min(last, STARVED_BELOW / middle)
        curve.append((middle, last))
    return tuple(curve)


def examples_of(data: CapacityData, fold: int) -> list[Example]:
    """Return the populations held out in a fold."""
    return [example for example in data.examples if example.index % FOLDS == fold]
