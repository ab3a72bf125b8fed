"""How well injected faults are found among the published executions, beside the published rule.

    python benchmarks/aloja_outliers.py ../shared/data/aloja_executions_dev.csv.gz --seeds 5

In each seed 5 % of the times are multiplied or divided by 2 to 5. Executions that were disturbed before the
injection count as false alarms, so precision is an underestimate.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np

from framework_hadoop.executions.execution_files import Executions, read_executions
from framework_hadoop.executions.outliers import find_outliers, published_outliers


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


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
