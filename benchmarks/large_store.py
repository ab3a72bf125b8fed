"""How fast a store of 10,000 runs answers: `sql "SELECT * FROM results"` and `status`, as processes of their own.

    python benchmarks/large_store.py [RUNS] [FOLDER]

Makes the store in FOLDER (a temporary folder by default) from written bundles, packs and ingests it, and prints the
medians of wall and processor time of five calls of each command.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from framework.contracts import Metric
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.side_files.sweep_plans import SweepPlan, save_plan

_REPEATS = 5
_METRICS = (
    "total_tok_s",
    "output_tok_s",
    "itl_mean_ms",
    "ttft_mean_ms",
    "e2e_mean_ms",
    "kv_usage_peak",
    "energy_j",
)
_SWEEPS = 20


def make_store(outputs: Path, runs: int) -> None:
    """Write bundles of `runs` runs in 20 sweeps, of which one in fifty failed, with their plans, and ingest them."""
    draw = random.Random(7)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    plans: dict[str, list[tuple[str, str]]] = {}
    for number in range(runs):
        sweep = f"study-{number % _SWEEPS:02d}"
        override = f"backend.max_num_seqs={number}"
        failure = Failure("backend", "EngineError", "no room") if number % 50 == 0 else None
        record = RunRecord(
            f"20260101T000000-{number:08x}-{number % 4096:06x}",
            f"key-{number}",
            sweep.rpartition("-")[0],
            "twin",
            "failed" if failure else "done",
            (began + timedelta(seconds=number)).isoformat(timespec="microseconds"),
            job_key=f"job-{number}",
            sweep_id=sweep,
            sweep_index=number,
            sanity=None if failure else "pass",
            metrics=() if failure else [Metric(name, draw.random() * 1000) for name in _METRICS],
            config={
                "backend": {"name": "twin", "max_num_seqs": number, "replicas": number % 4},
                "model": {"name": f"model-{number % 9}"},
                "gpu": {"name": "h100"},
                "workload": {"name": "fixed", "seed": number % 5},
            },
            varied=["backend.max_num_seqs"],
            failure=failure,
        )
        write_bundle(outputs, record, {})
        plans.setdefault(sweep, []).append((f"job-{number}", override))
    for sweep, points in plans.items():
        save_plan(
            outputs,
            SweepPlan(
                sweep,
                sweep.rpartition("-")[0],
                began.isoformat(),
                "code",
                {},
                [{"index": i, "overrides": [text], "repeat": 0} for i, (_, text) in enumerate(points)],
                [key for key, _ in points],
            ),
        )
    ingest(outputs)


def median_s(*arguments: str) -> tuple[float, float]:
    """Return the medians of wall and of processor time, in seconds, of a call of `python -m framework`."""
    wall, cpu = [], []
    for _ in range(_REPEATS):
        started, before = time.perf_counter(), os.times()
        command = [sys.executable, "-m", "framework", *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = os.times()
        wall.append(time.perf_counter() - started)
        cpu.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    """Make the store, time the commands, print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=int, nargs="?", default=10_000)
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args()
    runs = given.runs
    with tempfile.TemporaryDirectory() as scratch:
        outputs = Path(given.folder or scratch) / "outputs"
        if not outputs.exists():
            started = time.perf_counter()
            make_store(outputs, runs)
            print(f"made and ingested in {time.perf_counter() - started:.0f} s")
        for name, arguments in (
            ("sql results, csv", ("sql", "SELECT * FROM results", "--format", "csv")),
            ("sql results, table", ("sql", "SELECT * FROM results")),
            ("sql, start-up alone", ("sql", "--help")),
            ("status", ("status",)),
            ("status NAME", ("status", "study-03")),
        ):
            where = () if arguments[1:] == ("--help",) else ("--outputs", str(outputs))
            wall_s, cpu_s = median_s(*arguments, *where)
            print(f"{name:22} {wall_s:.2f} s, processor {cpu_s:.2f} s")


if __name__ == "__main__":
    main()
