"""What the twin's choice of adapters and slots loses on measured runs.

    python benchmarks/adapter_regret.py serving_runs_calibration.csv.gz

For each measured population (model, rates, ranks) with at least four points: among the measured points, the one
with the most throughput of those that the twin predicts not to starve, against the best measured point that does not
starve.
A choice that starved when it was measured counts as a total loss.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

MIN_POINTS = 4
Row = dict[str, str]


def main(file: str) -> None:
    """Print a line a population, then the median and largest regret and how many choices starve."""
    with gzip.open(file, "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if row["family"] in ("table1", "ml_test")]
    with tempfile.TemporaryDirectory() as folder:
        measured, predicted = Path(folder) / "measured.csv", Path(folder) / "predicted.csv"
        with measured.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        words = [sys.executable, "-m", "framework", "validate", str(measured), "--out", str(predicted)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        with predicted.open() as lines:
            found = {row["run_id"]: row for row in csv.DictReader(lines)}
    groups: dict[tuple[str, ...], list[tuple[Row, Row]]] = defaultdict(list)
    for row in rows:
        if "collapse" not in row["quality_flags"] and row["run_id"] in found:
            groups[population(row)].append((row, found[row["run_id"]]))
    losses, starving = [], 0
    for name, points in sorted(groups.items()):
        good = [row for row, _ in points if not is_true(row["starved"])]
        allowed = [pair for pair in points if not is_true(pair[1]["predicted_starved"])]
        if len(points) < MIN_POINTS or not good or not allowed:
            continue
        best = max(tok_s(row) for row in good)
        chosen, _ = max(allowed, key=lambda pair: float(pair[1]["predicted_total_tok_s"]))
        starves = is_true(chosen["starved"])
        losses.append(1.0 if starves else 1 - tok_s(chosen) / best)
        starving += starves
        print(
            f"{' '.join(name)}: {chosen['n_adapters']} adapters on {chosen['max_loras']} slots, "
            f"{tok_s(chosen):,.0f} of {best:,.0f} tok/s, loses {100 * losses[-1]:.1f} %"
        )
    shares = f"median {100 * median(losses):.2f} %, largest {100 * max(losses):.2f} %"
    print(f"{len(losses)} populations: {shares}, {starving} starve")


def population(row: Row) -> tuple[str, ...]:
    """Return what a population is: its model, its different rates, its different ranks."""
    lists = (row["adapter_rates_rps"], row["adapter_ranks"])
    return row["model"], *(
        "/".join(sorted({item.split("x")[0] for item in text.split(";")})) for text in lists
    )


def is_true(text: str) -> bool:
    """Return a table's yes or no."""
    return text in ("True", "true", "1", "1.0")


def tok_s(row: Row) -> float:
    """Return the measured throughput."""
    return float(row["measured_total_tok_s"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    main(parser.parse_args().file)
