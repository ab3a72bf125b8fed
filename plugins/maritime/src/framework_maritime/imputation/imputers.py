"""Filling in type, power and design speed of ships, many times over, so that totals carry an interval.

Multiple imputation: each of several bootstrap samples of the ships with known engines gives one fitted model; each
model gives several draws, whose errors are taken from ships that the model had not seen. Power and design speed are
drawn together, since a ship that is faster than its type is stronger too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import ConfigError
from framework_maritime.fleet.ship_types import SHIP_TYPES

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

IMPUTERS = ("global_mean", "type_mean", "neighbours", "boosting", "forest")
TYPE_NAMES = tuple(SHIP_TYPES)


@dataclass(frozen=True)
class Known:
    """What is known of each ship of a fleet.

    Attributes:
        types: "" where unknown.
        log_kw, log_kn: log of power and of design speed; NaN where unknown.
        log_length: log of length; NaN where unknown.
        features: of the ship's movement, (ships, features).
    """

    types: Names
    log_kw: Array
    log_kn: Array
    log_length: Array
    features: Array

    @property
    def with_engines(self) -> npt.NDArray[np.bool_]:
        """Ships whose power and design speed are both known."""
        return np.isfinite(self.log_kw) & np.isfinite(self.log_kn)

    def take(self, rows: npt.NDArray[np.int64]) -> Known:
        """Return some of the ships."""
        return Known(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Draws:
    """Imputed fleets: (draws, ships) each; what is known is the same in all draws."""

    types: Names
    kw: Array
    design_kn: Array


def impute(known: Known, imputer: str, fits: int = 10, draws: int = 5, seed: int = 0) -> Draws:
    """Return `fits` × `draws` complete fleets.

    Raises:
        ConfigError: unknown imputer, or fewer than two ships with known engines.
    """
    if imputer not in IMPUTERS:
        raise ConfigError(f"backend.imputer: unknown imputer '{imputer}' (known: {', '.join(IMPUTERS)})")
    rows = np.flatnonzero(known.with_engines)
    if len(rows) < 2:
        raise ConfigError(
            f"backend.imputer: {len(rows)} ships with known engines; at least 2 are needed for training"
        )
    random = np.random.default_rng([seed, 19])
    types, kw, kn = [], [], []
    hidden = np.flatnonzero(~known.with_engines)
    for _fit in range(fits):
        sample = random.choice(rows, len(rows))
        model = _Model(imputer, known.take(sample), int(random.integers(2**31)))
        unseen = np.setdiff1d(rows, sample)
        residuals = _residuals(model, known.take(unseen)) if len(unseen) >= 2 else np.zeros((1, 2))
        chance = model.type_chances(known)
        for _ in range(draws):
            drawn = _types(known.types, chance, random)
            complete = Known(drawn, known.log_kw, known.log_kn, known.log_length, known.features)
            log_kw, log_kn = known.log_kw.copy(), known.log_kn.copy()
            if len(hidden):
                at = (
                    model.predict(complete.take(hidden))
                    + residuals[random.integers(0, len(residuals), len(hidden))]
                )
                log_kw[hidden] = np.where(np.isfinite(log_kw[hidden]), log_kw[hidden], at[:, 0])
                log_kn[hidden] = np.where(np.isfinite(log_kn[hidden]), log_kn[hidden], at[:, 1])
            types.append(drawn)
            kw.append(np.exp(log_kw))
            kn.append(np.exp(log_kn))
    return Draws(np.array(types), np.array(kw), np.array(kn))


def _types(known: Names, chance: Array, random: np.random.Generator) -> Names:
    """Return types in which each unknown one is drawn by its chances."""
    at = (random.random((len(known), 1)) > np.cumsum(chance, axis=1)).sum(axis=1).clip(0, len(TYPE_NAMES) - 1)
    return np.where(known == "", np.array(TYPE_NAMES)[at], known)


def _residuals(model: _Model, unseen: Known) -> Array:
    """Return errors of log power and log speed on ships that the model hasn't seen; types guessed where unknown."""
    guess = np.array(TYPE_NAMES)[model.type_chances(unseen).argmax(axis=1)]
    complete = Known(
        np.where(unseen.types == "", guess, unseen.types),
        unseen.log_kw,
        unseen.log_kn,
        unseen.log_length,
        unseen.features,
    )
    return np.stack([unseen.log_kw, unseen.log_kn], axis=1) - model.predict(complete)


class _Model:
    """One imputer fitted to one sample of ships."""

    def __init__(self, imputer: str, ships: Known, seed: int) -> None:
        self._imputer = imputer
        targets = np.stack([ships.log_kw, ships.log_kn], axis=1)
        self._mean = np.array([np.log(np.mean(np.exp(column))) for column in targets.T])
        self._by_type = {}
        for name in TYPE_NAMES:
            of_type = targets[ships.types == name]
            if len(of_type):
                self._by_type[name] = np.log(np.mean(np.exp(of_type), axis=0))
        counts = np.array([(ships.types == name).sum() for name in TYPE_NAMES], float)
        self._share = (counts + 0.5) / (counts + 0.5).sum()
        self._length = float(np.nanmedian(ships.log_length)) if np.isfinite(ships.log_length).any() else 0.0
        self._regressor: Any = None
        self._classifier: Any = None
        if imputer in ("neighbours", "boosting", "forest"):
            self._fit(imputer, ships, targets, seed)

    def _fit(self, imputer: str, ships: Known, targets: Array, seed: int) -> None:
        labelled = ships.types != ""
        base = np.stack([self._base(name) for name in ships.types])
        design = self._design(ships)
        if len(np.unique(ships.types[labelled])) > 1:
            self._classifier = _classifier(imputer, seed)
            self._classifier.fit(self._movement(ships)[labelled], ships.types[labelled])
        self._regressor = _regressor(imputer, seed)
        self._regressor.fit(design, targets - base)

    def _base(self, name: str) -> Array:
        """Return log power and speed of a type: its mean, of all ships where the sample has none of it."""
        return self._by_type.get(str(name), self._mean) if self._imputer != "global_mean" else self._mean

    def _movement(self, ships: Known) -> Array:
        length = np.where(np.isfinite(ships.log_length), ships.log_length, self._length)
        return np.column_stack([length, ships.features])

    def _design(self, ships: Known) -> Array:
        return np.column_stack([ships.types[:, None] == np.array(TYPE_NAMES), self._movement(ships)]).astype(
            float
        )

    def type_chances(self, ships: Known) -> Array:
        """Return (ships, types): the chances of each type where it is unknown."""
        found = np.tile(self._share, (len(ships.types), 1))
        if self._classifier is not None:
            chances = self._classifier.predict_proba(self._movement(ships))
            found = np.full((len(ships.types), len(TYPE_NAMES)), 1e-9)
            for column, name in enumerate(self._classifier.classes_):
                found[:, TYPE_NAMES.index(str(name))] += chances[:, column]
        return found / found.sum(axis=1, keepdims=True)

    def predict(self, ships: Known) -> Array:
        """Return log power and log design speed, (ships, 2); types must be complete."""
        base = np.stack([self._base(name) for name in ships.types])
        return (
            base
            if self._regressor is None
            else np.asarray(base + self._regressor.predict(self._design(ships)))
        )


def _regressor(imputer: str, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if imputer == "neighbours":
        return make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance"))
    if imputer == "forest":
        return ExtraTreesRegressor(80, min_samples_leaf=2, max_features=0.5, random_state=seed)
    return MultiOutputRegressor(
        GradientBoostingRegressor(
            n_estimators=60, max_depth=3, learning_rate=0.08, subsample=0.7, random_state=seed
        )
    )


def _classifier(imputer: str, seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if imputer == "neighbours":
        return make_pipeline(StandardScaler(), KNeighborsClassifier(5, weights="distance"))
    return ExtraTreesClassifier(100, min_samples_leaf=2, random_state=seed)
