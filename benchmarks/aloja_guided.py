"""Whether guided selection learns a cluster from fewer runs than random selection does.

    python benchmarks/aloja_guided.py ../shared/data/aloja_executions_dev.csv.gz --cluster al-03 --seeds 10

A quarter of the cluster's executions is the test. Of the rest, each configuration may be "run" once: it then gives
one of its recorded times, drawn by the seed. All three selections end with the same model of the same number of runs,
and none sees the test.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, Features, group_codes
from framework.analysis.prediction.gaussian_process import GaussianProcess, unit_scaled
from framework.analysis.prediction.next_runs import choose_next, medoids
from framework_hadoop.executions import CONFIGURATION, read_executions

BATCH = 10


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def guided(
    features: Features, log_time: np.ndarray, rows: np.ndarray, runs: int, seed: int
) -> tuple[np.ndarray, float]:
    """Return the rows chosen batch by batch, and the CPU seconds of the dearest step."""
    chosen, dearest = np.zeros(0, dtype=np.int64), 0.0
    while len(chosen) < runs:
        left, started = np.setdiff1d(rows, chosen), cpu_s()
        batch = min(BATCH, runs - len(chosen))
        step = choose_next(features.rows(chosen), log_time[chosen], features.rows(left), batch, seed=seed)
        dearest = max(dearest, cpu_s() - started)
        chosen = np.concatenate([chosen, left[step.rows]])
    return chosen, dearest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--cluster", nargs="+", default=["al-03"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100)
    given = parser.parse_args()
    everything = read_executions(given.file)
    here = everything.rows(np.flatnonzero(np.isin(everything.columns["cluster"].astype(str), given.cluster)))
    columns = {
        name: here.columns[name] for name in CONFIGURATION if name not in ("vm_size", "provider", "vm_os")
    }
    features, log_time = unit_scaled(FeatureEncoder.fit(columns).encode(columns)), np.log(here.time_s)
    configuration = group_codes(here.columns, CONFIGURATION)
    wins = 0
    for seed in range(given.seeds):
        draw = np.random.default_rng(seed)
        out = draw.random(len(here)) < 0.25
        test, rest = np.flatnonzero(out), draw.permutation(np.flatnonzero(~out))
        rows = rest[np.unique(configuration[rest], return_index=True)[1]]

        def error(chosen: np.ndarray, test: np.ndarray = test) -> float:
            process = GaussianProcess.fit(features.rows(chosen), log_time[chosen])
            predicted = process.predict(features.rows(test))[0]
            return float(np.mean(np.abs(np.exp(predicted - log_time[test]) - 1)))

        chosen, dearest = guided(features, log_time, rows, given.runs, seed)
        of_guided = error(chosen)
        of_random = error(draw.permutation(rows)[: given.runs])
        of_medoids = error(rows[medoids(features.rows(rows), given.runs, seed)])
        wins += of_guided < of_random
        print(
            f"seed {seed}: MAPE with {given.runs} runs: guided {of_guided:.3f}, random {of_random:.3f}, "
            f"medoids {of_medoids:.3f}; dearest step {dearest:.2f} CPU-s",
            flush=True,
        )
    print(f"{'+'.join(given.cluster)}: guided below random in {wins} of {given.seeds} seeds")


if __name__ == "__main__":
    main()
