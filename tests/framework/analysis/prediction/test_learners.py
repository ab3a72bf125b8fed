from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")

from framework.analysis.prediction.features import FeatureEncoder
from framework.analysis.prediction.gaussian_process import SmallDataLearner
from framework.analysis.prediction.learners import GradientBoosting, Learner, RandomForest
from framework.errors import ConfigError
from framework_hadoop.knowledge.published_learners.learner_words import LEARNERS, learner_named
from framework_hadoop.knowledge.published_learners.model_tree import ModelTree
from framework_hadoop.knowledge.published_learners.published_models import (
    NearestNeighbours,
    NeuralNet,
    Polynomial,
)
from tests.framework.analysis.prediction.synthetic import make

EVERY: list[tuple[Learner, float]] = [
    (GradientBoosting(), 0.08),
    (RandomForest(trees=20), 0.15),
    (ModelTree(), 0.08),
    (ModelTree(log_target=True), 0.08),
    (NearestNeighbours(), 0.35),
    (Polynomial(), 0.6),
    (NeuralNet(iterations=300), 1.0),
    (SmallDataLearner(), 0.08),
]
NAMES = [learner.name for learner, _ in EVERY]


def mape_of(learner: Learner, shuffle_target: bool = False) -> float:
    train, test = make(300, seed=1), make(200, seed=2)
    encoder = FeatureEncoder.fit(train.columns)
    target = np.random.default_rng(0).permutation(train.time_s) if shuffle_target else train.time_s
    predicted = learner.fit(encoder.encode(train.columns), target, 0).predict(encoder.encode(test.columns))
    return float(np.mean(np.abs(predicted / test.expected_s - 1)))


@pytest.mark.parametrize(("learner", "limit"), EVERY, ids=NAMES)
def test_learner_finds_the_law_behind_the_times(learner: Learner, limit: float) -> None:
    assert mape_of(learner) < limit


@pytest.mark.parametrize("learner", [learner for learner, _ in EVERY], ids=NAMES)
def test_a_shuffled_target_destroys_accuracy_so_no_learner_sees_it_among_its_predictors(
    learner: Learner,
) -> None:
    assert mape_of(learner, shuffle_target=True) > max(0.5, 2 * mape_of(learner))


@pytest.mark.slow
@pytest.mark.parametrize("learner", [learner for learner, _ in EVERY], ids=NAMES)
def test_learner_predicts_positive_times_for_rows_without_any_known_value(learner: Learner) -> None:
    train = make(200)
    encoder = FeatureEncoder.fit(train.columns)
    nothing = {"cluster": np.array([None, "new"], dtype=object)}

    predicted = learner.fit(encoder.encode(train.columns), train.time_s, 0).predict(encoder.encode(nothing))

    assert np.isfinite(predicted).all()
    assert (predicted > 0).all()


def test_the_same_seed_gives_the_same_predictions() -> None:
    for learner in (GradientBoosting(), RandomForest(trees=5)):
        assert mape_of(learner) == mape_of(learner)


def test_a_leaf_with_one_row_predicts_that_row() -> None:
    columns = {"x": np.array([1.0, 2.0, 3.0])}
    encoder = FeatureEncoder.fit(columns)
    features = encoder.encode(columns)

    model = ModelTree(split_rows=2).fit(features, np.array([10.0, 20.0, 60.0]))

    assert model.predict(features).tolist() == [10.0, 20.0, 60.0]


def test_an_unknown_learner_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"backend.learner: unknown value 'boost' \(did you mean 'boosting'\?\)"
    ):
        learner_named("boost", "backend.learner")
    assert set(LEARNERS) == {"boosting", "process", "forest", "tree", "neighbours", "polynomial", "net"}
