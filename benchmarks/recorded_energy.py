"""The energy of recorded series by `import gpu-series`, next to a trapezoid that shares no code with it.

    python benchmarks/recorded_energy.py ../shared/data/timeseries/*.csv.gz

With the table of the published runs (`--published`), also mean power and joules per token while busy next to
what the study published of the same runs.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from pathlib import Path

import numpy as np

from framework_metrics.recorded_series.columns import read_gpu_series

PUBLISHED = Path("../shared/data/serving_runs_calibration.csv.gz")


def trapezoid_j(file: Path) -> float:
    """Return the energy of a file's `gpu_power_w` by plain numpy."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["gpu_power_w"]]
    time_s = np.array([float(row["time_s"]) for row in rows])
    power_w = np.array([float(row["gpu_power_w"]) for row in rows])
    return float(np.sum((power_w[1:] + power_w[:-1]) / 2 * np.diff(time_s)))


def published(file: Path) -> dict[str, tuple[float, float]]:
    """Return mean power (W) and joules per token of the published runs that have them."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["measured_power_mean_w"]]
    power = {row["run_id"]: float(row["measured_power_mean_w"]) for row in rows}
    rate = {row["run_id"]: float(row["measured_total_tok_s"] or "nan") for row in rows}
    return {run: (watts, watts / rate[run]) for run, watts in power.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--published", type=Path, default=PUBLISHED)
    given = parser.parse_args()
    told = published(given.published) if given.published.exists() else {}
    print("| run | `energy_j` | low to high | numpy | error | busy power, published | J/token, published |")
    print("|---|---|---|---|---|---|---|")
    for file in given.files:
        (run,) = read_gpu_series(file)
        found = {metric.name: metric for metric in run.result.metrics}
        energy, own = found["energy_j"], trapezoid_j(file)
        name = file.name.partition(".")[0]
        power, per_token = told.get(name, (float("nan"), float("nan")))
        print(
            f"| {name} | {energy.value:.0f} J | {energy.low:.0f} to {energy.high:.0f} | {own:.0f} J "
            f"| {energy.value / own - 1:.4%} | {_beside(found['power_busy_mean_w'].value, power, '.1f')} W "
            f"| {_beside(found['energy_j_per_token'].value, per_token, '.4f')} |"
        )


def _beside(value: float | None, told: float, form: str) -> str:
    return f"{'absent' if value is None else format(value, form)}, {format(told, form)}"


if __name__ == "__main__":
    main()
