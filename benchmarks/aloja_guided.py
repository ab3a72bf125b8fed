"""Whether guided selection learns executions from fewer runs than random selection does.

    python benchmarks/aloja_guided.py ../shared/data/aloja_executions_dev.csv.gz --cluster al-03 rl-19 all --seeds 10

Each cluster is a study of its own; `all` is one over all clusters, distinguished by name and hardware. A quarter of
the executions is the test. Of the rest, each configuration may be "run" once: it then gives one of its recorded
times, drawn by the seed. All three selections end with the same model of the same number of runs, and none sees the
test.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, Features, group_codes
from framework.analysis.prediction.gaussian_process import GaussianProcess, unit_scaled
from framework.analysis.prediction.next_runs import choose_next, medoids
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import CONFIGURATION, Executions

BATCH = 10
LEAST_CONFIGURATIONS = 400  # of a cluster: a quarter is the test, and 200 of the rest must be a choice


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def guided(
    features: Features, log_time: np.ndarray, rows: np.ndarray, runs: int, seed: int
) -> tuple[np.ndarray, dict[int, float], float]:
    """Return the rows chosen in each batch, the error expected after it, and the CPU seconds of the slowest step."""
    chosen, dearest = np.zeros(0, dtype=np.int64), 0.0
    expected: dict[int, float] = {}
    while len(chosen) < runs:
        left, started = np.setdiff1d(rows, chosen), cpu_s()
        step = choose_next(
            features.rows(chosen),
            log_time[chosen],
            features.rows(left),
            min(BATCH, runs - len(chosen)),
            references=features.rows(rows),
            seed=seed + len(chosen),
        )
        dearest = max(dearest, cpu_s() - started)
        chosen = np.concatenate([chosen, left[step.rows]])
        if step.expected_error is not None:
            expected[len(chosen)] = step.expected_error[1]
    return chosen, expected, dearest


def study(here: Executions, name: str, sizes: list[int], seeds: int) -> None:
    columns = {
        name: here.columns[name] for name in CONFIGURATION if name not in ("vm_size", "provider", "vm_os")
    }
    features, log_time = unit_scaled(FeatureEncoder.fit(columns).encode(columns)), np.log(here.time_s)
    configuration = group_codes(here.columns, CONFIGURATION)
    errors: dict[int, list[tuple[float, float, float, float]]] = {size: [] for size in sizes}
    dearest = 0.0
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        out = draw.random(len(here)) < 0.25
        test, rest = np.flatnonzero(out), draw.permutation(np.flatnonzero(~out))
        rows = rest[np.unique(configuration[rest], return_index=True)[1]]

        def error(chosen: np.ndarray, test: np.ndarray = test) -> float:
            process = GaussianProcess.fit(features.rows(chosen), log_time[chosen])
            predicted = process.predict(features.rows(test))[0]
            return float(np.mean(np.abs(np.exp(predicted - log_time[test]) - 1)))

        by_guide, expected, step = guided(features, log_time, rows, max(sizes), seed)
        by_chance = draw.permutation(rows)
        dearest = max(dearest, step)
        for size in sizes:
            by_medoids = rows[medoids(features.rows(rows), size, seed)]
            errors[size].append(
                (error(by_guide[:size]), error(by_chance[:size]), error(by_medoids), expected[size])
            )
    for size in sizes:
        table = np.array(errors[size])
        mean, worst = table.mean(axis=0), table.max(axis=0)
        print(
            f"{name:>20} {size:>4} runs: MAPE guided {mean[0]:.3f} (worst {worst[0]:.2f}), random {mean[1]:.3f} "
            f"({worst[1]:.2f}), medoids {mean[2]:.3f} ({worst[2]:.2f}); expected {mean[3]:.3f}; "
            f"guided below random in {int((table[:, 0] < table[:, 1]).sum())} of {seeds} seeds",
            flush=True,
        )
    print(f"{name:>20} slowest step: {dearest:.2f} CPU-s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument(
        "--cluster", nargs="*", help="names, or `all`; every large cluster and `all` if not given"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--runs", type=int, nargs="+", default=[50, 100, 200], help="multiples of ten")
    given = parser.parse_args()
    everything = read_executions(given.file)
    cluster = everything.columns["cluster"].astype(str)
    configuration = group_codes(everything.columns, CONFIGURATION)
    large = [
        name
        for name in np.unique(cluster)
        if len(np.unique(configuration[cluster == name])) >= LEAST_CONFIGURATIONS
    ]
    for name in given.cluster or [*large, "all"]:
        here = everything if name == "all" else everything.rows(np.flatnonzero(cluster == name))
        study(here, name, given.runs, given.seeds)


if __name__ == "__main__":
    main()
