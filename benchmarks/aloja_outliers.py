"""How well injected faults are found among the published executions, next to the published rule.

    python benchmarks/aloja_outliers.py ../shared/data/aloja_executions_dev.csv.gz --seeds 5

In each seed 5 % of the times are multiplied or divided by 2 to 5. Executions that were disturbed before the
injection count as false alarms, so precision is an underestimate.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np

from framework.analysis.prediction.features import FeatureEncoder, group_codes
from framework_hadoop.executions.execution_features import execution_features
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import CONFIGURATION, Executions
from framework_hadoop.executions.outliers import find_outliers
from framework_hadoop.knowledge.published_learners.model_tree import ModelTree


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def published_outliers(
    executions: Executions, deviations: float = 3.0, distance: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Return masks (flagged at all, confirmed) by the rule of ALOJA-ML (KDD 2015, section 5).

    E = |observed − predicted| in seconds with a regression tree; a row above mean(E) + 3 sd(E) is flagged, and
    confirmed when more than half of the rows within the Hamming distance, itself among them, are below.
    """
    columns = execution_features(executions)
    encoder = FeatureEncoder.fit(columns)
    features = encoder.encode(columns)
    error = np.abs(executions.time_s - ModelTree().fit(features, executions.time_s).predict(features))
    flagged = error > error.mean() + deviations * error.std()
    settings = np.stack([group_codes(executions.columns, [name]) for name in CONFIGURATION], axis=1)
    confirmed = np.zeros(len(error), dtype=bool)
    for row in np.flatnonzero(flagged):
        apart = (settings != settings[row]).sum(axis=1)
        for near in (apart == 0, apart <= distance):
            if np.mean(~flagged[near]) > 0.5:
                confirmed[row] = True
                break
    return flagged, confirmed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.05)
    given = parser.parse_args()
    clean = read_executions(given.file)
    for seed in range(given.seeds):
        draw = np.random.default_rng(seed)
        bad = draw.random(len(clean)) < given.share
        factor = np.exp(draw.choice([-1, 1], len(clean)) * np.log(draw.uniform(2, 5, len(clean))))
        time_s = np.where(bad, clean.time_s * factor, clean.time_s)
        faulty = Executions({**clean.columns, "exe_time_s": time_s}, clean.source)
        started = cpu_s()
        verdicts = np.array(find_outliers(faulty).verdict)
        cost = cpu_s() - started
        for name, flagged in (
            ("ours", np.isin(verdicts, ("outlier", "failed"))),
            ("published rule", published_outliers(faulty)[1]),
        ):
            hits = int((flagged & bad).sum())
            precision, recall = hits / max(1, int(flagged.sum())), hits / int(bad.sum())
            print(f"seed {seed}: {name:>14}: precision {precision:.3f}, recall {recall:.3f}")
        print(f"seed {seed}: {cost:.2f} CPU-s for {len(clean)} executions")


if __name__ == "__main__":
    main()
