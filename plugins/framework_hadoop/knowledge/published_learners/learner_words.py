"""The learners by the word that chooses one in a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from framework.analysis.prediction.gaussian_process import SmallDataLearner
from framework.analysis.prediction.learners import GradientBoosting, Learner, RandomForest
from framework.configuration.plain_values import one_of
from framework_hadoop.knowledge.published_learners.model_tree import ModelTree
from framework_hadoop.knowledge.published_learners.published_models import (
    NearestNeighbours,
    NeuralNet,
    Polynomial,
)

AUTO = "auto"
LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "boosting": GradientBoosting,
    "process": SmallDataLearner,
    "forest": RandomForest,
    "tree": ModelTree,
    "neighbours": NearestNeighbours,
    "polynomial": Polynomial,
    "net": NeuralNet,
}


def learner_named(word: str, key: str) -> Learner | None:
    """Return a learner with its default settings; None for `auto`, which chooses by the number of rows.

    Raises:
        ConfigError: no such learner; names the configuration key.
    """
    chosen = one_of(word, key, (AUTO, *LEARNERS))
    return None if chosen == AUTO else LEARNERS[chosen]()
