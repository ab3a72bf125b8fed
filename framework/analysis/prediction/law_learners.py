"""A law beside what was learned: the ways to combine a simulation or formula with measured runs.

    law         the law as it is
    scaled      the law times the median of measured / law: what one wrong constant would explain
    corrected   the law times a factor that is learned from the settings
    learned     no law at all

Which of them is used is decided by errors on held-out rows, for known units and for new ones apart: near what was
measured a correction pays, far from it the law alone may be the better guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.analysis.prediction.features import Features, FloatArray
from framework.analysis.prediction.learners import GradientBoosting, Learner, Model

LAW = "law of physics"
"""Name of the column with the law's own prediction; NaN where the law says nothing."""


def candidates(learners: Sequence[Learner], with_law: bool) -> tuple[Learner, ...]:
    """Return what held-out errors choose from; the simplest first, since of equal ones the first is taken."""
    alone = tuple(WithoutLaw(learner) for learner in learners)
    if not with_law:
        return tuple(learners)
    corrected = tuple(Corrected(learner) for learner in learners)
    return (LawAlone(learners[0]), LawScaled(learners[0]), *corrected, *alone)


def small_boosting() -> GradientBoosting:
    """Return boosted trees for dozens to hundreds of rows."""
    return GradientBoosting(rounds=60, leaves=7, learning_rate=0.1)


def _law_of(features: Features) -> FloatArray:
    if LAW not in features.names:
        return np.full(len(features), np.nan)
    return features.values[:, features.names.index(LAW)]


@dataclass(frozen=True)
class _Parts:
    """A law with a factor, and what was learned without it for the rows of which the law says nothing."""

    factor: Model | float
    elsewhere: Model | None

    def predict(self, features: Features) -> FloatArray:
        """Return the law times the factor; where there is no law, what was learned without it."""
        law = _law_of(features)
        own = features.without({LAW})
        factor = self.factor if isinstance(self.factor, float) else self.factor.predict(own)
        found = law * factor
        missing = np.isnan(found)
        if missing.any() and self.elsewhere is not None:
            found[missing] = self.elsewhere.predict(own.rows(missing))
        return np.asarray(found, dtype=np.float64)


def _elsewhere(learner: Learner, features: Features, target: FloatArray, seed: int) -> Model | None:
    """Learn without the law, if some rows have none; a law for all of them needs no stand-in."""
    if not np.isnan(_law_of(features)).any():
        return None
    return learner.fit(features.without({LAW}), target, seed)


@dataclass(frozen=True)
class LawAlone:
    """The law as it is."""

    learner: Learner
    name: str = "law"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        return _Parts(1.0, _elsewhere(self.learner, features, target, seed))


@dataclass(frozen=True)
class LawScaled:
    """The law times the median of measured / law."""

    learner: Learner
    name: str = "law, scaled"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        ratio = target / _law_of(features)
        known = ratio[np.isfinite(ratio)]
        factor = float(np.median(known)) if len(known) else 1.0
        return _Parts(factor, _elsewhere(self.learner, features, target, seed))


@dataclass(frozen=True)
class Corrected:
    """The law times a factor that a learner finds in the settings."""

    learner: Learner

    @property
    def name(self) -> str:
        """How it is listed."""
        return f"law, corrected by {self.learner.name}"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        ratio = target / _law_of(features)
        known = np.isfinite(ratio)
        if known.sum() < 2:
            return LawAlone(self.learner).fit(features, target, seed)
        factor = self.learner.fit(features.without({LAW}).rows(known), ratio[known], seed)
        return _Parts(factor, _elsewhere(self.learner, features, target, seed))


@dataclass(frozen=True)
class _LawIgnored:
    model: Model

    def predict(self, features: Features) -> FloatArray:
        """Return what was learned from the settings alone."""
        return self.model.predict(features.without({LAW}))


@dataclass(frozen=True)
class WithoutLaw:
    """A learner that does not see the law."""

    learner: Learner

    @property
    def name(self) -> str:
        """How it is listed."""
        return f"learned by {self.learner.name}"

    def fit(self, features: Features, target: FloatArray, seed: int = 0) -> Model:
        """See `Learner.fit`."""
        return _LawIgnored(self.learner.fit(features.without({LAW}), target, seed))
