"""A sweep whose launcher is killed and whose jobs are killed, cancelled or out of memory, finished by one command.

    python benchmarks/killed_sweep.py --runs 1000 --launcher slurm     # with a Slurm (.ci/slurm.sh up)
    python benchmarks/killed_sweep.py --runs 40 --launcher background
    python benchmarks/killed_sweep.py --runs 640 --runs-per-job 10 --at-once 64 --launchers 2 --clock-back 3600

The launchers (several share the sweep) get SIGKILL so many times, at random moments spread over the runs that end.
All the time a share of the jobs is spoiled: cancelled through the queue, killed (SIGKILL to a process of the job), or
given no more memory than it has (its limit of address space is lowered, so that its next request for memory fails).
`--clock-back` sets the clock of all launchers after the first ones back, and of the jobs that they start here (with
Debian's `faketime`). Then the commands are repeated until all succeed. Printed: how every point ended, whether one is
missing or was done twice, what became of the spoiled jobs, which reasons the failures have, and what the launchers
cost (the runs have no work of their own; `benchmarks/job_cost.py` takes what a job costs).
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
from framework.errors import StoreError
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
    parser.add_argument("--spoiled", type=float, default=0.1, help="share of the jobs to spoil")
    parser.add_argument("--clock-back", type=int, default=0, help="seconds; needs faketime")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="killed-sweep-"))
    (folder / "site").mkdir(parents=True)
    install_toy_into(folder / "site")
    path = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
    os.environ |= {"FRAMEWORK_PLUGINS": "toy", "PYTHONPATH": path, "COLUMNS": "160"}
    os.chdir(folder)
    command = [
        *(sys.executable, "-m", "framework", "-m", "+experiment=toy", "progress=false"),
        f"backend.speed=range(1,{given.runs + 1})",
        *(f"hydra/launcher={given.launcher}", f"hydra.launcher.runs_per_job={given.runs_per_job}"),
        *(f"hydra.launcher.array_parallelism={given.at_once}", "hydra.launcher.timeout_min=3"),
        "hydra.launcher.setup=['renice -n 15 $$ >/dev/null']",
    ]
    chance = random.Random(given.seed)
    spoiler = Spoiler(folder, given, chance)
    spoiler.start()
    began_s = time.monotonic()
    for kill in range(given.kills):
        launchers = started(command, folder, given.launchers)
        part = chance.uniform(kill, kill + 1) / given.kills
        while runs_ended() < part * given.runs and any(launcher.poll() is None for launcher in launchers):
            time.sleep(0.1)
        for launcher in launchers:
            time.sleep(chance.uniform(0.0, 3.0))
            launcher.kill()
            launcher.wait()
        print(
            f"{time.monotonic() - began_s:.0f} s: launchers killed; {runs_ended()} runs ended, "
            f"{dict(spoiler.done)} jobs spoiled",
            flush=True,
        )
        if given.clock_back and kill == 0:
            command = ["faketime", "-f", f"-{given.clock_back}s", *command]
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


def runs_ended() -> int:
    """Return how many runs have left a bundle, done or failed."""
    return len(os.listdir("outputs/runs")) if Path("outputs/runs").is_dir() else 0


class Spoiler(threading.Thread):
    """Cancels, kills or starves jobs of the sweep while its runs end, until a share of the jobs is spoiled."""

    def __init__(self, folder: Path, given: argparse.Namespace, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.runs = given.runs
        self.jobs = round(given.spoiled * given.runs / given.runs_per_job)
        self.chance = chance
        self.done: Counter[str] = Counter()
        self.spoiled: dict[str, str] = {}
        self.over = False

    def run(self) -> None:
        """Spoil one job after another, in step with the runs that end."""
        ways = {"cancelled": self.cancel, "killed": self.kill, "no memory": self.starve}
        while len(self.spoiled) < self.jobs and not self.over:
            time.sleep(self.chance.uniform(0.05, 0.2))
            due = 1 + self.jobs * min(1.0, runs_ended() / self.runs)
            if len(self.spoiled) >= due:
                continue
            way = self.chance.choice(sorted(ways))
            with suppress(OSError, QueueError, StoreError):
                job_id = ways[way]()
                if job_id is not None and job_id not in self.spoiled:
                    self.spoiled[job_id] = way
                    self.done[way] += 1

    def cancel(self) -> str | None:
        """Cancel a job that waits or runs; return its id."""
        ledger = next(iter(ledgers("outputs")), None)
        if ledger is None:
            return None
        room = batches_folder("outputs", ledger.sweep_id)
        queue = queue_named(ledger.queue, room)
        states = queue.states(sorted({job.job_id for job in ledger.jobs.values() if job.job_id}))
        active = sorted(job_id for job_id, state in states.items() if state.active)
        if not active:
            return None
        job_id = self.chance.choice(active)
        cancel_jobs(queue, room, [job for job in ledger.jobs.values() if job.job_id == job_id])
        return job_id

    def kill(self) -> str | None:
        """End the process of a task; return its job."""
        process, job_id = self.task()
        if process is not None:
            os.kill(process, signal.SIGKILL)
        return job_id

    def starve(self) -> str | None:
        """Give the process of a task no more memory than it has; return its job."""
        process, job_id = self.task()
        if process is not None:
            pages = int(Path(f"/proc/{process}/statm").read_text().split()[0])
            limit = pages * resource.getpagesize()
            resource.prlimit(process, resource.RLIMIT_AS, (limit, limit))
        return job_id

    def task(self) -> tuple[int | None, str | None]:
        """Return one process of a task and its job: only those that this sweep's own folder names."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if "framework.jobs.task" in words and str(self.folder) in " ".join(words):
                    found.append((int(entry.name), words[words.index("framework.jobs.task") + 3]))
        return self.chance.choice(sorted(found)) if found else (None, None)


def jobs_that_began() -> dict[str, bool]:
    """Return every job that claimed its task, and whether it found all of its points done by others."""
    begun = {}
    for claim in Path("outputs/sweeps").glob("*.jobs/*/claims/*"):
        holder, batch = claim.read_text(), claim.parent.parent
        if holder.startswith("job "):
            points = json.loads((batch / "tasks.json").read_text())["tasks"][int(claim.name)]
            results = [batch / "results" / f"{point['index']}.{point['repeat']}.json" for point in points]
            skipped = [
                result.exists() and json.loads(result.read_text()).get("outcome", {}).get("skipped")
                for result in results
            ]
            begun[holder.removeprefix("job ")] = all(skipped)
    return begun


def account(runs: int, repeats: int, wall_s: float, spoiler: Spoiler) -> int:
    store = framework.open("outputs")
    done = store.query(
        "SELECT sweep_index, count(*) AS n FROM runs WHERE status = 'done' GROUP BY ALL"
    ).to_pylist()
    ended = store.query(
        "SELECT r.status, f.kind, f.message, p.value AS job FROM runs r LEFT JOIN failures f USING (run_id) "
        "LEFT JOIN provenance p ON p.run_id = r.run_id AND p.name = 'job'"
    ).to_pylist()
    failed = [row for row in ended if row["status"] == "failed"]
    kinds = {row["job"]: row["kind"] or row["status"] for row in ended}
    became = Counter((way, kinds.get(job, "no run")) for job, way in spoiler.spoiled.items())
    begun = jobs_that_began()
    examples = {row["kind"]: row["message"] for row in failed}
    launchers = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = {
        "runs": runs,
        "done": len(done),
        "done twice": sum(row["n"] > 1 for row in done),
        "missing": runs - len({row["sweep_index"] for row in done}),
        "jobs that began": len(begun),
        "of them without a run": sum(job not in kinds and not skipped for job, skipped in begun.items()),
        "jobs spoiled": dict(spoiler.done),
        "what became of them": {f"{way}: {kind}": count for (way, kind), count in sorted(became.items())},
        "failures by kind": dict(Counter(row["kind"] for row in failed)),
        "an example of each": examples,
        "failures without a reason": sum(not row["message"] for row in failed),
        "repeats": repeats,
        "wall s": round(wall_s, 1),
        "wall s a run": round(wall_s / runs, 3),
        "launchers' CPU-s a run": round((launchers.ru_utime + launchers.ru_stime) / runs, 3),
    }
    print(json.dumps(said, indent=1))
    wrong = ("missing", "done twice", "of them without a run", "failures without a reason")
    return 1 if any(said[name] for name in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
