"""Seconds for a Pareto front of many points, by the macro that every front is made with.

    python benchmarks/pareto_front.py [POINTS]

Asked: 100,000 points in three objectives within a second. Independent uniform values, values that rise together, and
values with noise of 2 %; each as the median of five.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from framework.analysis.pareto import Direction, front_mask, noisy_front_mask

BETTER: list[Direction] = ["higher", "lower", "higher"]


def main(points: int) -> None:
    """Print a line a case: what, points, on the front, seconds."""
    random = np.random.default_rng(0)
    uniform = random.random((points, 3))
    shared = random.random((points, 1)) * [1.0, -1.0, 1.0] + 0.1 * random.random((points, 3))
    cases = {
        "uniform": lambda: front_mask(uniform, BETTER),
        "rising together": lambda: front_mask(shared, BETTER),
        "uniform, noise 2 %": lambda: noisy_front_mask(0.98 * uniform, 1.02 * uniform, BETTER),
    }
    front_mask(uniform[:10], BETTER)
    for name, case in cases.items():
        seconds = []
        for _ in range(5):
            begin = time.perf_counter()
            kept = case()
            seconds.append(time.perf_counter() - begin)
        print(
            f"{name:20} {points:9,} points {kept.sum():6,} on the front {statistics.median(seconds):7.3f} s"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("points", type=int, nargs="?", default=100_000)
    main(parser.parse_args().points)
