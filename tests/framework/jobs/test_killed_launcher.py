"""A launcher that is killed at any moment neither orphans nor doubles a job: the same command finishes the sweep."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from framework.errors import StoreError
from framework.jobs import submission
from framework.jobs.batch_folder import BatchFolder, TaskLimits, TaskPoint
from framework.jobs.job_ledger import JobLedger
from framework.jobs.submission import QueuedSweep, QueueUse, SweepJob
from framework.processes.job_queue import Batch, JobState
from framework.run_record import RunOutcome
from framework.store import durable
from framework.store.database.reader import Store
from framework.sweep.session import SweepSession
from tests.support.fake_slurm import FakeSlurm
from tests.support.launcher_pauses import once_planned, while_it_watches


class Killed(BaseException):
    """The launcher is gone, at once."""


class Kill:
    """Ends the launcher at the n-th of its steps: before, after a file that it writes or a word to the queue."""

    def __init__(self, at: int, end: type[BaseException]) -> None:
        self.left = at
        self.end = end
        self.of_launcher = True

    def step(self) -> None:
        self.left -= self.of_launcher
        if self.left == 0 and self.of_launcher:
            raise self.end("no space left on the device")

    def around(self, function: Callable[..., object]) -> Callable[..., object]:
        def stepped(*args: object, **named: object) -> object:
            self.step()
            value = function(*args, **named)
            self.step()
            return value

        return stepped

    def spare(self, nodes: Callable[[], None], *seconds: float) -> None:
        """Let the nodes work: what they write is no step of the launcher."""
        self.of_launcher = False
        nodes()
        self.of_launcher = True


class MemoryQueue:
    """A queue whose tasks are carried out by `work`; it may accept a batch when its sender is gone."""

    requeue: Sequence[str] = ()

    def __init__(self, late: bool) -> None:
        self.late = late
        self.while_on_the_way: Callable[[], None] = lambda: None
        self.accepted: dict[str, Batch] = {}
        self.on_the_way: list[Batch] = []
        self.carried_out: Counter[int] = Counter()
        self.did_nothing = 0
        self.worked: set[str] = set()

    def submit(self, batch: Batch) -> list[str]:
        if self.late:
            self.on_the_way.append(batch)
            self.while_on_the_way()
        self.accepted[batch.name] = batch
        return [f"{batch.name}_{task}" for task in range(batch.count)]

    def find(self, name: str, count: int) -> list[str]:
        return [f"{name}_{task}" for task in range(count)] if name in self.accepted else []

    def states(self, job_ids: Sequence[str]) -> Mapping[str, JobState]:
        return {
            job_id: JobState(
                job_id, "PENDING", reason="TimeLimit", active=job_id.rpartition("_")[0] in self.accepted
            )
            if job_id not in self.worked
            else JobState(job_id, "COMPLETED", failure_kind="no_result")
            for job_id in job_ids
        }

    def cancel(self, job_ids: Sequence[str]) -> None: ...

    def largest_array(self) -> int:
        return 3

    def work(self, *seconds: float) -> None:
        """Do what the nodes do: begin every task that may begin."""
        self.accepted |= {batch.name: batch for batch in self.on_the_way}
        for batch in self.accepted.values():
            folder = BatchFolder(batch.script.parent)
            for task in range(batch.count):
                job_id = f"{batch.name}_{task}"
                if job_id in self.worked:
                    continue
                self.worked.add(job_id)
                if not folder.begin(task, job_id):
                    self.did_nothing += 1
                    continue
                for point in folder.read()[0][task]:
                    self.carried_out[point.index] += 1
                    folder.write_result(point, RunOutcome(f"run-{point.index}", "done"))


JOBS = [SweepJob([f"sweep.index={index}"], f"key-{index}", index, 0) for index in range(7)]


def _launch(
    outputs: Path,
    queue: MemoryQueue,
    runs_per_job: int,
    shown: Callable[[str], None] = lambda words: None,
) -> list[RunOutcome]:
    room = outputs / "batches"

    def new_batch(tasks: Sequence[Sequence[TaskPoint]]) -> BatchFolder:
        return BatchFolder.new(room, "test", tasks, TaskLimits(60, 5), b"", ["python"], [])

    use = QueueUse(queue, {"queue": "memory"}, room, new_batch, runs_per_job, 60.0, 2)
    session = SweepSession("sweep", "study", str(outputs), on_queue=shown)

    def compose(overrides: Sequence[str]) -> DictConfig:
        return OmegaConf.create({})

    # what is done is known to the store, and skipped before anything is launched
    return QueuedSweep(session, use, compose).run([job for job in JOBS if not queue.carried_out[job.index]])


@pytest.mark.slow
@pytest.mark.parametrize("ends", [Killed, StoreError], ids=["killed", "disk_full"])
@pytest.mark.parametrize("runs_per_job", [1, 2])
@pytest.mark.parametrize("late", [False, True], ids=["accepted", "accepted_after_the_end"])
@pytest.mark.parametrize("forgets", [False, True], ids=["remembers", "forgets"])
def test_a_launcher_killed_at_any_step_and_repeated_runs_every_point_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: type[BaseException],
    runs_per_job: int,
    late: bool,
    forgets: bool,
) -> None:
    steps = 0
    while True:
        steps += 1
        outputs, queue, kill = tmp_path / str(steps), MemoryQueue(late), Kill(steps, ends)
        with monkeypatch.context() as patch:
            patch.setattr(durable, "write_whole", kill.around(durable.write_whole))
            patch.setattr(queue, "while_on_the_way", kill.step)
            for name in ("submit", "find"):
                patch.setattr(queue, name, kill.around(getattr(queue, name)))
            patch.setattr(submission, "POLL_S", 0.0)
            while_it_watches(patch, partial(kill.spare, queue.work))
            try:
                _launch(outputs, queue, runs_per_job)
                break
            except ends:
                pass
        if not late:
            queue.work()  # the nodes do not wait for the next launcher
        if forgets:
            monkeypatch.setattr(queue, "find", lambda name, count: [])
        with monkeypatch.context() as patch:
            patch.setattr(submission, "POLL_S", 0.0)
            while_it_watches(patch, queue.work)
            _launch(outputs, queue, runs_per_job)
        queue.work()
        assert queue.carried_out == Counter(range(7)), f"killed at step {steps}"
        ledger = JobLedger(outputs, "sweep")
        assert ledger.open_batches == {}
        assert {job.job_id for job in ledger.jobs.values()} <= queue.worked
    assert steps > 10


def test_what_a_queue_says_to_jobs_that_wait_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, shown = MemoryQueue(late=False), list[str]()
    monkeypatch.setattr(submission, "POLL_S", 0.0)
    while_it_watches(monkeypatch, queue.work)
    _launch(tmp_path, queue, 2, shown.append)
    assert shown[0] == "4 pending (TimeLimit)"


KILLED_AT = """
import os, sys, signal
from framework.cli import main
from framework.jobs.job_ledger import JobLedger
write, left = JobLedger._write, [{step}]

def killed(self):
    for act in (lambda: None, lambda: write(self)):
        act()
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

JobLedger._write = killed
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "late"),
    [(1, False), (2, False), (3, False), (4, False), (4, True)],
    ids=["no_intent", "intent", "submitted", "noted", "jobs_end_once_the_next_launcher_has_planned"],
)
def test_the_command_line_killed_around_a_submission_and_repeated_runs_every_point_once(
    study: Callable[..., int], slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, step: int, late: bool
) -> None:
    sweep = ["-m", "+experiment=toy_single", "hydra/launcher=slurm", "backend.speed=1,2,3"]
    sweep += ["hydra.launcher.runs_per_job=2", "workload.size=4"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT.format(step=step), *sweep], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if late:
        once_planned(monkeypatch, slurm.ended)
    assert study(*sweep) == 0
    slurm.ended()
    assert Store("outputs").rows("SELECT sweep_index, status FROM runs ORDER BY ALL")[1] == [
        (index, "done") for index in range(3)
    ]
    assert slurm.jobs() == {"1_0": "COMPLETED", "1_1": "COMPLETED"}
