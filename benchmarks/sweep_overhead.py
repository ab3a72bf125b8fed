"""What a sweep costs in addition to its backends: seconds a run, and the time until a finished sweep says so.

    python benchmarks/sweep_overhead.py --runs 500 --done 10000

Two sweeps through `python -m framework` in processes of their own, in a temporary folder, with the toy study of
the tests as the only plugin (its backend takes no time):

* `--runs` points are carried out one after another; the time from start to end over their number, the time of the
  same command over one point taken off, is the overhead of a run;
* `--done` points are given bundles as if they had run (with `--metrics` metrics each), brought into the database,
  and the same command is timed that finds nothing to do.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framework.store.side_files.sweep_plans import SweepPlan

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"
SEEDS = ["workload.size=4", "backend.speed=2"]


@dataclass(frozen=True)
class Cost:
    """Wall-clock and processor seconds of a process and its children."""

    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--done", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        _install_toy(site)
        one = _sweep(Path(folder) / "one", site, 1)
        many = _sweep(Path(folder) / "many", site, given.runs)
        print(f"1 run: {one.wall_s:.1f} s wall, {one.cpu_s:.1f} s CPU (start-up, tables)")
        print(f"{given.runs} runs: {many.wall_s:.1f} s wall, {many.cpu_s:.1f} s CPU")
        each = max(given.runs - 1, 1)
        print(
            f"overhead a run: {(many.wall_s - one.wall_s) / each * 1e3:.0f} ms wall, "
            f"{(many.cpu_s - one.cpu_s) / each * 1e3:.0f} ms CPU"
        )
        again = _sweep(Path(folder) / "many", site, given.runs)
        print(f"{given.runs} done runs skipped: {again.wall_s:.1f} s wall, {again.cpu_s:.1f} s CPU")
        if given.done:
            _pretend(Path(folder) / "done", site, given.done, given.metrics)
            resumed = _sweep(Path(folder) / "done", site, given.done)
            print(f"{given.done} done runs skipped: {resumed.wall_s:.1f} s wall, {resumed.cpu_s:.1f} s CPU")


def _install_toy(site: Path) -> None:
    info = site / "toy_study-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-study\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[framework.plugins]\ntoy = toy_study.plugin\n")


def _sweep(folder: Path, site: Path, runs: int) -> Cost:
    folder.mkdir(exist_ok=True)
    paths = os.pathsep.join([str(site), str(SUPPORT)])
    environment = {**os.environ, "PYTHONPATH": paths, "FRAMEWORK_PLUGINS": "toy"}
    command = [sys.executable, "-m", "framework", "-m", "+experiment=toy_single", *SEEDS]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [*command, f"workload.seed=range({runs})"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"the sweep failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _pretend(folder: Path, site: Path, runs: int, metrics: int) -> None:
    """Fill a store with done runs under the job keys that the sweep will ask for.

    The keys are read from the plan of a sweep that is stopped as soon as it is written.
    """
    from framework.contracts import Metric
    from framework.run_record import RunRecord
    from framework.store.bundles.bundle import write_bundle
    from framework.store.database.ingest import ingest

    folder.mkdir()
    plan = _plan(folder, site, runs)
    for number, (point, job_key) in enumerate(zip(plan.points, plan.job_keys, strict=True)):
        record = RunRecord(
            run_id=f"20260101T000000-{job_key[:8]}-{number:06x}",
            run_key=job_key,
            job_key=job_key,
            experiment=plan.experiment,
            backend="toy",
            status="done",
            started_at="2026-01-01T00:00:00.000000+00:00",
            finished_at="2026-01-01T00:00:01.000000+00:00",
            sweep_id=plan.sweep_id,
            sweep_index=int(str(point["index"])),
            metrics=[Metric(f"metric_{i}", float(number + i), "1") for i in range(metrics)],
            config={"workload": {"seed": number}},
            varied=["workload.seed"],
        )
        write_bundle(folder / "outputs", record, {})
    ingest(folder / "outputs")


def _plan(folder: Path, site: Path, runs: int) -> SweepPlan:
    from framework.store.side_files.sweep_plans import read_plans

    paths = os.pathsep.join([str(site), str(SUPPORT)])
    environment = {**os.environ, "PYTHONPATH": paths, "FRAMEWORK_PLUGINS": "toy"}
    command = [sys.executable, "-m", "framework", "-m", "+experiment=toy_single", *SEEDS]
    process = subprocess.Popen(
        [*command, f"workload.seed=range({runs})"], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )
    plans: list[SweepPlan] = []
    while not plans and process.poll() is None:
        time.sleep(0.05)
        plans = read_plans(folder / "outputs")
    process.kill()
    process.wait()
    return plans[0]


if __name__ == "__main__":
    main()
