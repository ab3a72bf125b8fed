"""A sweep whose launcher is killed and whose jobs are killed or cancelled, finished by repeating one command.

    python benchmarks/killed_sweep.py --runs 1000 --launcher slurm     # with a Slurm (.ci/slurm.sh up)
    python benchmarks/killed_sweep.py --runs 40 --launcher background
    python benchmarks/killed_sweep.py --runs 640 --runs-per-job 10 --at-once 64 --launchers 2

The launchers (several share the sweep) get SIGKILL so many times at random moments; meanwhile a share of the jobs is
cancelled through the queue or has its process killed. Then the commands are repeated until all succeed. Printed: how
every point ended, whether one is missing or was done twice, which reasons the failures have, and what a run cost
beyond its own work (it has none).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import framework
from framework.jobs.batch_folder import batches_folder
from framework.jobs.job_ledger import ledgers
from framework.jobs.known_queues import queue_named
from framework.jobs.submission import cancel_jobs
from framework.processes.job_queue import QueueError
from framework.testing.fixtures import install_toy_into

MOST_REPEATS = 12


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--runs-per-job", type=int, default=1)
    parser.add_argument("--launcher", default="background")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--launchers", type=int, default=1, help="how many carry out the sweep together")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--spoiled", type=float, default=0.1, help="share of the jobs to kill or cancel")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="killed-sweep-"))
    (folder / "site").mkdir(parents=True)
    install_toy_into(folder / "site")
    os.environ |= {"FRAMEWORK_PLUGINS": "toy", "PYTHONPATH": str(folder / "site"), "COLUMNS": "160"}
    os.chdir(folder)
    command = [
        *(sys.executable, "-m", "framework", "-m", "+experiment=toy", "progress=false"),
        f"backend.speed=range(1,{given.runs + 1})",
        *(f"hydra/launcher={given.launcher}", f"hydra.launcher.runs_per_job={given.runs_per_job}"),
        *(f"hydra.launcher.array_parallelism={given.at_once}", "hydra.launcher.timeout_min=10"),
        "hydra.launcher.setup=['renice -n 15 $$ >/dev/null']",
    ]
    chance = random.Random(given.seed)
    spoiler = Spoiler(folder, given, chance)
    spoiler.start()
    began_s = time.monotonic()
    for _ in range(given.kills):
        launchers = started(command, folder, given.launchers)
        for launcher in launchers:
            time.sleep(chance.uniform(0.5, 30))
            launcher.kill()
            launcher.wait()
        print(
            f"{time.monotonic() - began_s:.0f} s: launchers killed; {spoiler.done} jobs spoiled", flush=True
        )
    repeats = 0
    while repeats < MOST_REPEATS:
        repeats += 1
        statuses = [launcher.wait() for launcher in started(command, folder, given.launchers)]
        print(f"{time.monotonic() - began_s:.0f} s: repeated, exit status {statuses}", flush=True)
        if not any(statuses):
            break
    wall_s = time.monotonic() - began_s
    spoiler.over = True
    return account(given.runs, repeats, wall_s, spoiler)


def started(command: list[str], folder: Path, count: int) -> list[subprocess.Popen[bytes]]:
    """Start so many launchers of the sweep; what they say is added to one file."""
    with (folder / "launcher.log").open("a") as log:
        return [subprocess.Popen(command, stdout=log, stderr=log) for _ in range(count)]


class Spoiler(threading.Thread):
    """Kills or cancels jobs of the sweep until a share of them is spoiled."""

    def __init__(self, folder: Path, given: argparse.Namespace, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.left = round(given.spoiled * given.runs / given.runs_per_job)
        self.chance = chance
        self.done: Counter[str] = Counter()
        self.over = False

    def run(self) -> None:
        """Spoil one job after another."""
        while self.left > 0 and not self.over:
            with suppress(OSError, QueueError, StopIteration):
                (self.cancel if self.chance.random() < 0.5 else self.kill)()
            time.sleep(self.chance.uniform(0.2, 4.0))

    def cancel(self) -> None:
        """Cancel a job that waits or runs."""
        ledger = next(iter(ledgers("outputs")))
        queue = queue_named(ledger.queue, batches_folder("outputs", ledger.sweep_id))
        states = queue.states(sorted({job.job_id for job in ledger.jobs.values() if job.job_id}))
        active = sorted(job_id for job_id, state in states.items() if state.active)
        if active:
            job_id = self.chance.choice(active)
            jobs = [job for job in ledger.jobs.values() if job.job_id == job_id]
            cancel_jobs(queue, batches_folder("outputs", ledger.sweep_id), jobs)
            self.left -= 1
            self.done["cancelled"] += 1

    def kill(self) -> None:
        """End the process of a task: only those that this sweep's own folder names."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"framework.jobs.task" in words and str(self.folder).encode() in b" ".join(words):
                    found.append(int(entry.name))
        if found:
            os.kill(self.chance.choice(sorted(found)), signal.SIGKILL)
            self.left -= 1
            self.done["killed"] += 1


def account(runs: int, repeats: int, wall_s: float, spoiler: Spoiler) -> int:
    store = framework.open("outputs")
    done = store.query(
        "SELECT sweep_index, count(*) AS n FROM runs WHERE status = 'done' GROUP BY ALL"
    ).to_pylist()
    kinds = store.query("SELECT kind, count(*) AS n FROM failures GROUP BY ALL ORDER BY n DESC").to_pylist()
    mute = store.query("SELECT count(*) AS n FROM failures WHERE message IS NULL OR message = ''").to_pylist()
    launchers = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {
        "runs": runs,
        "done": len(done),
        "done twice": sum(row["n"] > 1 for row in done),
        "missing": runs - len({row["sweep_index"] for row in done}),
        "jobs spoiled": dict(spoiler.done),
        "failures by kind": {row["kind"]: row["n"] for row in kinds},
        "failures without a reason": mute[0]["n"],
        "repeats": repeats,
        "wall s": round(wall_s, 1),
        "wall s a run": round(wall_s / runs, 3),
        "launchers' CPU-s a run": round((launchers.ru_utime + launchers.ru_stime) / runs, 3),
    }
    print(json.dumps(said, indent=1))
    return 0 if said["missing"] == said["done twice"] == said["failures without a reason"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
