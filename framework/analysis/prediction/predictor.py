"""The predictor: one model for what is like the past, another for each way a row can be new.

Rows of known units (clusters, models …) are predicted by a model that knows them by name. A row of a unit that was
never seen is predicted by a model without the features that name units, from hardware facts alone; how wrong such a
model is was measured by holding out whole units, and its intervals come from those errors. So a new cluster gets a
wide interval because new clusters were predicted badly in the past, not because a rule says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from framework.analysis.prediction.conformal import ResidualIntervals
from framework.analysis.prediction.features import (
    Column,
    FeatureEncoder,
    Features,
    FloatArray,
    IntArray,
    group_codes,
)
from framework.analysis.prediction.gaussian_process import SmallDataLearner
from framework.analysis.prediction.holding_out import (
    NEWCOMER,
    REPEATED,
    SCARCE,
    Part,
    balanced_rows,
    row_parts,
    scarce_rows,
    unit_parts,
)
from framework.analysis.prediction.learners import GradientBoosting, Learner, Model
from framework.analysis.prediction.novelty import Group, contradictions, joint_codes, seen_in

KNOWN, NEW_CONFIGURATION = "known", "configuration"
ROWS_FOR_BOOSTING = 400
_EXACT = 1e-9  # mean error of log target below which no other candidate is tried
_UNTESTED_WIDENING = 2.0  # of intervals where no second unit exists on which to measure the error


@dataclass(frozen=True)
class Prediction:
    """Predicted target of some rows.

    Attributes:
        predicted, low, high: in the target's unit, shape (rows,); low ≤ predicted ≤ high.
        basis: what is new in the row: `known` (its configuration was observed), `configuration` (only units and
            values that were), or the name of the group whose unit is new.
        contradicted: the fact in which the row contradicts what was seen of the unit that it names, which makes it
            a new one; None elsewhere.
    """

    predicted: FloatArray
    low: FloatArray
    high: FloatArray
    basis: tuple[str, ...]
    contradicted: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class RunPredictor:
    """How to learn from finished runs.

    Attributes:
        groups: the units a row may be new in, the most informative one last (its absence decides the model).
        configuration: columns that make two rows repeats of each other; empty: all columns.
        balance: name of the group whose small units get more say, and wider intervals; empty for none.
        level: nominal coverage of the intervals.
        learner: for rows of known units; None: a Gaussian process below `ROWS_FOR_BOOSTING` rows, where it errs
            half as much as trees, boosted trees from there on.
        newcomer_learner: for rows of new units; None: as above, with smaller trees, since what is to be learned is
            coarser.
        candidates: learners of which each basis takes the one that errs least on its held-out rows; empty: those
            above, without a choice.
        seed: of folds and learners.
    """

    groups: tuple[Group, ...] = ()
    configuration: tuple[str, ...] = ()
    balance: str = ""
    level: float = 0.9
    learner: Learner | None = None
    newcomer_learner: Learner | None = None
    candidates: tuple[Learner, ...] = ()
    seed: int = 0

    def learner_for(self, rows: int, newcomer: bool = False) -> Learner:
        """Return the learner for so many training rows."""
        chosen = self.newcomer_learner if newcomer else self.learner
        if chosen is not None:
            return chosen
        if rows < ROWS_FOR_BOOSTING:
            return SmallDataLearner()
        return GradientBoosting(leaves=31) if newcomer else GradientBoosting()

    def configuration_in(self, columns: Mapping[str, Column]) -> tuple[str, ...]:
        """Return the columns of the configuration that are there; all columns if none is named or there."""
        return tuple(name for name in self.configuration if name in columns) or tuple(columns)

    def fit(self, columns: Mapping[str, Column], target: FloatArray) -> FittedPredictor:
        """Learn from training columns and a positive target.

        Raises:
            ValueError: fewer than two rows, or a target that is missing, infinite or not positive.
        """
        if len(target) < 2:
            raise ValueError(f"prediction needs at least 2 finished runs, got {len(target)}")
        if not np.all(np.isfinite(target) & (target > 0)):
            raise ValueError("the target must be a positive number in every training row")
        return FittedPredictor(self, columns, target, FeatureEncoder.fit(columns))


@dataclass
class FittedPredictor:
    """Training rows, and the models made of them as they are asked for."""

    plan: RunPredictor
    columns: Mapping[str, Column]
    target: FloatArray
    encoder: FeatureEncoder
    _bases: dict[str, _Basis] = field(default_factory=dict)

    def predict(self, columns: Mapping[str, Column]) -> Prediction:
        """Predict rows given by the same columns; missing columns and values are allowed."""
        features = self.encoder.encode(columns)
        rows = len(features)
        predicted, low, high = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        basis_of_row, contradicted = self._basis_of_row(columns)
        repeated = self._repeated(columns)
        kind = self._kind_of_row(columns, repeated)
        for name in sorted(set(basis_of_row)):
            chosen = np.flatnonzero(basis_of_row == name)
            part = self._basis(name).predict(features.rows(chosen), kind[chosen])
            predicted[chosen], low[chosen], high[chosen] = part
        unobserved = (basis_of_row == KNOWN) & ~repeated
        basis_of_row[unobserved] = NEW_CONFIGURATION
        return Prediction(predicted, low, high, tuple(basis_of_row), contradicted)

    def predict_points(self, columns: Mapping[str, Column], basis: str = KNOWN) -> FloatArray:
        """Predict rows without intervals, all of them as rows of one basis: a quarter of the work, one model.

        Args:
            columns: the rows.
            basis: `known`, or the group whose units are taken to be new.
        """
        dropped = self._dropped(basis)
        learner = self.plan.learner_for(len(self.target), newcomer=basis != KNOWN)
        rows = np.arange(len(self.target))
        if basis == KNOWN and self.plan.balance:
            rows = balanced_rows(self._units(self.plan.balance))
        training = self.encoder.encode(self.columns).without(dropped).rows(rows)
        model = learner.fit(training, self.target[rows], self.plan.seed)
        return model.predict(self.encoder.encode(columns).without(dropped))

    def _dropped(self, basis: str) -> frozenset[str]:
        """Return the features that a basis does without: what names the units that are new in it.

        A row new in a later group may be new in an earlier one as well: it is predicted without either's names.
        """
        if basis == KNOWN:
            return frozenset()
        position = [group.name for group in self.plan.groups].index(basis)
        return frozenset(feature for group in self.plan.groups[: position + 1] for feature in group.identity)

    def chosen(self, basis: str) -> tuple[str, Mapping[str, float]]:
        """Return what predicts rows of a basis, and the median relative error of each candidate on held-out rows."""
        found = self._basis(KNOWN if basis == NEW_CONFIGURATION else basis)
        return found.learner, found.errors

    def basis_of_rows(self, columns: Mapping[str, Column]) -> np.ndarray:
        """Return for each row the last of the groups that it is new in, or `known`."""
        return self._basis_of_row(columns)[0]

    def _basis_of_row(self, columns: Mapping[str, Column]) -> tuple[np.ndarray, tuple[str | None, ...]]:
        """Return for each row the last of the groups that it is new in, or `known`; and what it contradicts."""
        rows = len(next(iter(columns.values()))) if columns else 0
        basis = np.full(rows, KNOWN, dtype=object)
        contradicted: list[str | None] = [None] * rows
        for group in self.plan.groups:
            if all(name in self.columns and name in columns for name in group.key):
                trained, asked = joint_codes(self.columns, columns, group.key)
                basis[~seen_in(asked, trained)] = group.name
                for row, fact in enumerate(contradictions(self.columns, columns, group)):
                    if fact is not None:
                        basis[row], contradicted[row] = group.name, contradicted[row] or fact
        return basis, tuple(contradicted)

    def _repeated(self, columns: Mapping[str, Column]) -> np.ndarray:
        """Return which rows' configuration was observed."""
        names = self.plan.configuration_in(self.columns)
        trained, asked = joint_codes(self.columns, columns, names)
        return seen_in(asked, trained)

    def _kind_of_row(self, columns: Mapping[str, Column], repeated: np.ndarray) -> IntArray:
        """Return `REPEATED`, `NEW` or `SCARCE` for each row; what a newcomer is, its basis says."""
        kind = np.where(repeated, REPEATED, 0).astype(np.int64)
        for group in self.plan.groups:
            if group.name == self.plan.balance and all(key in self.columns for key in group.key):
                trained, asked = joint_codes(self.columns, columns, group.key)
                kind[scarce_rows(asked, trained)] = SCARCE
        return kind

    def _basis(self, name: str) -> _Basis:
        if name not in self._bases:
            self._bases[name] = self._known_basis() if name == KNOWN else self._newcomer_basis(name)
        return self._bases[name]

    def _known_basis(self) -> _Basis:
        configuration = group_codes(self.columns, self.plan.configuration_in(self.columns))
        unit = self._units(self.plan.balance) if self.plan.balance else None
        parts = row_parts(configuration, unit, self.plan.seed)
        return self._learned(self._learners(newcomer=False), self.encoder.encode(self.columns), parts, unit)

    def _newcomer_basis(self, name: str) -> _Basis:
        identity = self._dropped(name)
        unit = self._units(name)
        if len(np.unique(unit)) < 2:
            return replace(self._basis(KNOWN), widening=_UNTESTED_WIDENING)
        features = self.encoder.encode(self.columns).without(identity)
        parts = unit_parts(unit, self.plan.seed)
        learned = self._learned(
            self._learners(newcomer=True),
            features,
            parts,
            None,
            1.0 / np.bincount(unit)[unit],
        )
        return replace(learned, dropped=identity, newcomer=True)

    def _units(self, name: str) -> IntArray:
        group = next(group for group in self.plan.groups if group.name == name)
        if not all(column in self.columns for column in group.key):
            return np.zeros(len(self.target), dtype=np.int64)
        return group_codes(self.columns, group.key)

    def _learners(self, newcomer: bool) -> Sequence[Learner]:
        return self.plan.candidates or (self.plan.learner_for(len(self.target), newcomer),)

    def _learned(
        self,
        learners: Sequence[Learner],
        features: Features,
        parts: Sequence[Part],
        balance: IntArray | None,
        weight: FloatArray | None = None,
    ) -> _Basis:
        """Learn from all rows, and intervals from the rows held out part by part.

        Args:
            learners: what to learn with: the one that errs least on the rows held out.
            features: of the training rows.
            parts: the folds.
            balance: units whose few rows are repeated; None for none.
            weight: weight of each row's error in the intervals; None: equal.
        """

        def fitted(learner: Learner, rows: IntArray) -> Model:
            if balance is not None:
                rows = rows[balanced_rows(balance[rows])]
            return learner.fit(features.rows(rows), self.target[rows], self.plan.seed)

        rows = np.concatenate([part.out for part in parts])
        kind = np.concatenate([part.kind for part in parts])
        learner, guess, errors = learners[0], np.zeros(0), dict[str, float]()
        least = np.inf
        for candidate in learners:
            own = np.concatenate(
                [fitted(candidate, part.learned).predict(features.rows(part.out)) for part in parts]
            )
            wrong = np.abs(np.log(self.target[rows] / own))
            errors[candidate.name] = float(np.expm1(np.median(wrong)))
            mean = float(np.average(wrong, weights=None if weight is None else weight[rows]))
            if not len(guess) or mean < least:
                learner, guess, least = candidate, own, mean
            if least < _EXACT:
                break  # the law's own runs: nothing is left to be learned
        intervals = ResidualIntervals.fit(
            _with_prediction(features.rows(rows), guess, kind),
            np.log(self.target[rows] / guess),
            kind,
            self.plan.level,
            None if weight is None else weight[rows],
            self.plan.seed,
        )
        model = fitted(learner, np.arange(len(features)))
        return _Basis(model, intervals, learner=learner.name, errors=errors)


@dataclass(frozen=True)
class _Basis:
    """A model with the intervals of its held-out errors.

    Attributes:
        dropped: features that the model does not know.
        newcomer: whether its errors were measured on whole units.
        widening: factor on the interval's offsets where no unit could be held out.
        learner: name of what the model was made with.
        errors: name of each candidate to its median relative error on held-out rows, as a fraction.
    """

    model: Model
    intervals: ResidualIntervals
    dropped: frozenset[str] = frozenset()
    newcomer: bool = False
    widening: float = 1.0
    learner: str = ""
    errors: Mapping[str, float] = field(default_factory=dict)

    def predict(self, features: Features, kind: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        own = features.without(self.dropped) if self.dropped else features
        kinds = np.full(len(own), NEWCOMER) if self.newcomer else kind
        predicted = self.model.predict(own)
        low, high = self.intervals.offsets(_with_prediction(own, predicted, kinds), kinds)
        low, high = np.minimum(low, 0.0) * self.widening, np.maximum(high, 0.0) * self.widening
        return predicted, predicted * np.exp(low), predicted * np.exp(high)


def _with_prediction(features: Features, predicted: FloatArray, kind: IntArray) -> FloatArray:
    return np.column_stack([features.values, np.log(predicted), kind])
