"""How well execution times are predicted on the published executions, and what it costs.

    python benchmarks/aloja_prediction.py ../shared/data/aloja_executions_dev.csv.gz --seeds 5

Random and configuration-held-out quarters over several seeds; every cluster with 200 executions left out, and again
with 50 of its own executions known; all learners on the first random split. CPU seconds are user + system.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, group_codes
from framework.analysis.prediction.predictor import Prediction
from framework_hadoop.executions.execution_features import execution_features, execution_predictor
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import CONFIGURATION, Executions
from framework_hadoop.knowledge.published_learners.learner_words import LEARNERS

LEAST_ROWS_OF_A_CLUSTER = 200
OWN_RUNS = 50


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def predicted(
    executions: Executions, train: np.ndarray, test: np.ndarray
) -> tuple[Prediction, np.ndarray, float]:
    started = cpu_s()
    known, asked = executions.rows(train), executions.rows(test)
    fitted = execution_predictor().fit(execution_features(known), known.time_s)
    return fitted.predict(execution_features(asked)), asked.time_s, cpu_s() - started


def figures(prediction: Prediction, measured: np.ndarray) -> tuple[float, float, float]:
    error = np.abs(prediction.predicted / measured - 1)
    inside = (prediction.low <= measured) & (measured <= prediction.high)
    return float(error.mean()), float(np.median(error)), float(inside.mean())


def quarters(executions: Executions, seeds: int, units: np.ndarray, name: str) -> None:
    for seed in range(seeds):
        out = (np.random.default_rng(seed).random(int(units.max()) + 1) < 0.25)[units]
        prediction, measured, cost = predicted(executions, np.flatnonzero(~out), np.flatnonzero(out))
        mape, median, coverage = figures(prediction, measured)
        print(
            f"{name:>14} seed {seed}: MAPE {mape:.4f}, median {median:.4f}, coverage {coverage:.3f}, {cost:.2f} CPU-s"
        )


def clusters_left_out(executions: Executions, own_runs: int, seeds: int) -> None:
    clusters = executions.columns["cluster"]
    names, sizes = np.unique(clusters.astype(str), return_counts=True)
    medians, coverages = [], []
    for name in names[sizes >= LEAST_ROWS_OF_A_CLUSTER]:
        here = np.flatnonzero(clusters == name)
        for seed in range(seeds):
            own = np.random.default_rng(seed).permutation(here)[:own_runs]
            train, test = np.concatenate([np.flatnonzero(clusters != name), own]), np.setdiff1d(here, own)
            _, median, coverage = figures(*predicted(executions, train, test)[:2])
            medians.append(median)
            coverages.append(coverage)
    spread = " ".join(f"{value:.2f}" for value in medians)
    print(
        f"cluster left out, {own_runs} own runs: median over clusters of median APE {np.median(medians):.3f} "
        f"({spread}); mean coverage {np.mean(coverages):.3f}"
    )


def learners(executions: Executions, only: list[str]) -> None:
    out = np.random.default_rng(0).random(len(executions)) < 0.25
    known, asked = executions.rows(np.flatnonzero(~out)), executions.rows(np.flatnonzero(out))
    columns = execution_features(known)
    encoder = FeatureEncoder.fit(columns)
    makers: dict[str, Callable[[], object]] = {name: LEARNERS[name] for name in only}
    for name, make in makers.items():
        started = cpu_s()
        learner = make()
        model = learner.fit(encoder.encode(columns), known.time_s, 0)  # type: ignore[attr-defined]
        error = np.abs(model.predict(encoder.encode(execution_features(asked))) / asked.time_s - 1)
        print(
            f"{name:>12}: MAPE {error.mean():.4f}, median {np.median(error):.4f}, {cpu_s() - started:.1f} CPU-s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--seeds", type=int, default=5)
    # the Gaussian process is for hundreds of rows: with all of them its matrices need 60 GiB
    parser.add_argument("--learners", nargs="*", default=[name for name in LEARNERS if name != "process"])
    given = parser.parse_args()
    executions = read_executions(given.file)
    quarters(executions, given.seeds, np.arange(len(executions)), "random rows")
    quarters(executions, given.seeds, group_codes(executions.columns, CONFIGURATION), "configurations")
    clusters_left_out(executions, 0, 1)
    clusters_left_out(executions, OWN_RUNS, min(given.seeds, 2))
    learners(executions, given.learners)


if __name__ == "__main__":
    main()
