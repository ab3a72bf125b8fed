"""Typed configuration of what is learned from executions: Hydra's schemas."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ExecutionFilesConfig:
    """`workload=executions`: two CSV files (or `.csv.gz`) in ALOJA's columns.

    Attributes:
        train: executions to learn from; rows without a time are left out and counted.
        test: executions to predict; a time is not needed.
        seed: of folds and learners.
    """

    _target_: str = "framework_hadoop.knowledge.prediction_study.ExecutionFiles"
    name: str = "executions"
    train: str | None = None
    test: str | None = None
    seed: int = 0


@dataclass
class ExecutionPredictionConfig:
    """`backend=execution_prediction`.

    Attributes:
        level: nominal coverage of the intervals.
        learner: for rows of known clusters and benchmarks: boosting, process, forest, tree, neighbours,
            polynomial or net; auto: process (a Gaussian process) below 400 training rows, boosting from there on.
        validation: hold out rows, configurations, clusters and benchmarks of the training file and report the errors
            side by side (metrics `mape_held_out_…`, table `prediction_errors`). quick: thirds of the clusters and of
            the benchmarks, no coverage; full: one by one, with coverage, some twenty times as long; none.
        knowledge: also keep the representative tree, the effect of each knob, and the best configurations.
    """

    _target_: str = "framework_hadoop.knowledge.prediction_study.ExecutionPrediction"
    name: str = "execution_prediction"
    level: float = 0.9
    learner: str = "auto"
    validation: str = "quick"
    knowledge: bool = True
