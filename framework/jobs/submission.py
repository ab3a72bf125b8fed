"""A sweep as jobs of a queue: submit what no job has yet, watch what lands, account for what does not.

A task's own result and the run's bundle say how a job ended; only where both are missing is the queue asked. A job
whose Python raised is a good one to the queue.

A launcher may be killed at any moment. What it is about to submit is in the ledger before it is submitted; the next
launcher asks the queue whether it was accepted, and gives up what was not, so that it can never begin
(`batch_folder`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from framework.jobs.batch_folder import NOT_STARTED, BatchFolder, TaskPoint
from framework.jobs.job_ledger import JobLedger, SubmittedJob
from framework.jobs.lost_job import is_of_job, lost_record, reason_in_log, write_lost
from framework.jobs.start_up_share import start_up_hint
from framework.processes.job_queue import Batch, JobQueue, JobState, QueueError
from framework.run_record import Failure, RunOutcome, RunRecord
from framework.store.bundles.bundle import read_manifest
from framework.store.layout import runs_folder
from framework.store.lookup import failed_job_keys
from framework.sweep.session import GaveUpError, SweepSession
from framework.sweep.watch import add_landed

POLL_S = 2.0
LAG_S = 5.0  # what a shared file system may take to show what a job wrote at its end
_LOG_TAIL_LINES = 40

NewBatch = Callable[[Sequence[Sequence[TaskPoint]]], BatchFolder]
"""Makes the folder of a batch from the points of each of its tasks."""


@dataclass(frozen=True)
class SweepJob:
    """A point of the sweep as its launcher gets it: Hydra overrides, and what the sweeper wrote into them."""

    overrides: Sequence[str]
    job_key: str
    index: int
    repeat: int

    @staticmethod
    def of(overrides: Sequence[str]) -> SweepJob:
        """Read the overrides that the study's sweeper adds to every job."""
        given = dict(override.split("=", 1) for override in overrides if override.startswith("sweep."))
        return SweepJob(
            overrides, given["sweep.job_key"], int(given["sweep.index"]), int(given["sweep.repeat"])
        )


@dataclass(frozen=True)
class QueueUse:
    """How a launch uses its queue.

    Attributes:
        queue: the batch system.
        settings: how it is reached again (`framework.jobs.known_queues`), for `cancel` and the next launcher.
        room: folder of the sweep's batches, on a file system that the nodes share.
        new_batch: makes the folder of a batch.
        runs_per_job: how many points one job carries out, one after another.
        limit_s: time limit of one run, seconds.
        at_once: how many jobs may run at the same time.
    """

    queue: JobQueue
    settings: Mapping[str, Any]
    room: Path
    new_batch: NewBatch
    runs_per_job: int
    limit_s: float
    at_once: int

    @property
    def name(self) -> str:
        """Name of the queue."""
        return str(self.settings["queue"])


class QueuedSweep:
    """The jobs of one launch.

    Args:
        session: where outcomes go; its `outputs_dir` is on a file system that the nodes share.
        use: the queue.
        compose: overrides → configuration of a job, for the record of one that never ran.
    """

    def __init__(
        self, session: SweepSession, use: QueueUse, compose: Callable[[Sequence[str]], DictConfig]
    ) -> None:
        self.session = session
        self.use = use
        self.queue = use.queue
        self.compose = compose
        self.ledger = JobLedger(session.outputs_dir, session.sweep_id)
        self._ended_at: dict[str, float] = {}

    def run(self, jobs: Sequence[SweepJob]) -> list[RunOutcome | GaveUpError]:
        """Return the outcome of every job, in order, when all have ended; `GaveUpError` for one that was not started.

        Raises:
            KeyboardInterrupt: the user left; the jobs go on, and how to come back to them has been said.
        """
        with self.ledger.submitting():
            settle_open_batches(self.ledger, self.queue, self.use.room)
            missing = self._missing(jobs)
            self.ledger.queue = dict(self.use.settings)
            most = self.queue.largest_array() * self.use.runs_per_job
            for start in range(0, len(missing), most):
                self._submit(missing[start : start + most])
        try:
            outcomes = self._collect(jobs)
        except KeyboardInterrupt:
            self._leave()
            raise
        if self.use.runs_per_job == 1:
            self._say_what_starting_took(jobs, outcomes)
        return outcomes

    def _say_what_starting_took(
        self, jobs: Sequence[SweepJob], outcomes: Sequence[RunOutcome | GaveUpError]
    ) -> None:
        lives_s = {}
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, RunOutcome) and outcome.status == "done" and not outcome.skipped:
                submitted = self.ledger.jobs[job.job_key]
                lived_s = self._folder(submitted).process_s(job.index, job.repeat)
                if lived_s is not None:
                    lives_s[outcome.run_id] = lived_s
        hint = start_up_hint(self.session.outputs_dir, lives_s)
        if hint is not None:
            self.session.announce(hint)

    def _missing(self, jobs: Sequence[SweepJob]) -> list[SweepJob]:
        """Return the jobs to submit; those still at work are attached to."""
        known = [job for job in jobs if job.job_key in self.ledger.jobs]
        states = self.queue.states(sorted({self.ledger.jobs[job.job_key].job_id for job in known}))
        active = {job.job_key for job in known if self._open(self.ledger.jobs[job.job_key], states)}
        add_landed(
            self.session
        )  # a job that has ended since the sweep was planned has left its bundle by now
        landed = {job.job_key for job in known if (job.index, job.repeat) in self.session.outcomes}
        self._settle_ended([job for job in known if job.job_key not in active | landed], states)
        if active:
            of_them = {self.ledger.jobs[key].job_id for key in active}
            self.session.announce(f"attached to {len(of_them)} jobs that are waiting or running")
        return [job for job in jobs if job.job_key not in active | landed]

    def _open(self, submitted: SubmittedJob, states: Mapping[str, JobState]) -> bool:
        """Return whether a point's job is at work and has not ended this point yet."""
        return states[submitted.job_id].active and self._result(submitted) is None

    def _settle_ended(self, ended: Sequence[SweepJob], states: Mapping[str, JobState]) -> None:
        """Record the jobs that ended without a bundle while no launcher was looking; they are submitted again."""
        recorded = failed_job_keys(self.session.outputs_dir, [job.job_key for job in ended])
        for job in ended:
            submitted = self.ledger.jobs[job.job_key]
            self._folder(submitted).give_up(submitted.task)  # whatever the queue has forgotten of it
            bundle = runs_folder(self.session.outputs_dir) / recorded.get(job.job_key, "-")
            has_bundle = bundle.is_dir() and is_of_job(read_manifest(bundle).record, submitted)
            result = self._result(submitted)
            if isinstance(result, RunOutcome) or result == NOT_STARTED or has_bundle:
                continue
            record = self._lost(job, submitted, states[submitted.job_id], result)
            self.session.earlier.add(
                record.run_id
            )  # before it lands: it is not an outcome of the job to come
            write_lost(self.session.outputs_dir, record, self._logs(submitted))

    def _submit(self, jobs: Sequence[SweepJob]) -> None:
        size = self.use.runs_per_job
        tasks = [list(jobs[start : start + size]) for start in range(0, len(jobs), size)]
        made = self.use.new_batch(
            [[TaskPoint(job.overrides, job.index, job.repeat) for job in task] for task in tasks]
        )
        now = time.time()
        intended = [
            SubmittedJob(job.job_key, "", job.index, job.repeat, now, made.name, number)
            for number, task in enumerate(tasks)
            for job in task
        ]
        self.ledger.add(intended)
        batch = Batch(
            made.name, len(tasks), made.script, made.folder, size * self.use.limit_s, self.use.at_once
        )
        ids = self.queue.submit(batch)
        self.ledger.add([replace(job, job_id=ids[job.task]) for job in intended])
        several = f" with {len(jobs)} runs" if size > 1 else ""
        arrays = sorted({job_id.partition("_")[0] for job_id in ids})
        self.session.announce(
            f"{len(tasks)} jobs{several} submitted to {self.use.name} as {', '.join(arrays)}; "
            "Ctrl-C leaves them running"
        )

    def _collect(self, jobs: Sequence[SweepJob]) -> list[RunOutcome | GaveUpError]:
        waiting = {job.job_key: job for job in jobs}
        outcomes: dict[str, RunOutcome | GaveUpError] = {}
        gave_up, failed = False, 0
        while waiting:
            states = self._states(sorted({self.ledger.jobs[key].job_id for key in waiting}))
            for key, job in list(waiting.items()):
                outcome = self._outcome(job, states)
                if outcome is not None:
                    outcomes[key] = outcome
                    del waiting[key]
                    if isinstance(outcome, RunOutcome):
                        self.session.add((job.index, job.repeat), outcome)
            if waiting and len(self.session.failed) > failed:
                failed = len(self.session.failed)
                self._leave_out_what_cannot_run(list(waiting.values()))
            self.session.on_queue(self._in_words(waiting, states))
            if self.session.gave_up and waiting and not gave_up:
                gave_up = True
                self.session.announce(
                    f"max_failures={self.session.max_failures}: the other jobs are cancelled"
                )
                cancel_jobs(self.queue, self.use.room, [self.ledger.jobs[key] for key in waiting])
            if waiting:
                time.sleep(POLL_S)
        return [outcomes[job.job_key] for job in jobs]

    def _leave_out_what_cannot_run(self, waiting: Sequence[SweepJob]) -> None:
        """Cancel the jobs that have not begun and whose points all need what others found to be missing."""
        tasks: dict[tuple[str, int], list[SweepJob]] = {}
        for job in waiting:
            submitted = self.ledger.jobs[job.job_key]
            tasks.setdefault((submitted.batch, submitted.task), []).append(job)
        missing = self.session.missing
        cancelled = set()
        for (_, task), points in tasks.items():
            submitted = self.ledger.jobs[points[0].job_key]
            folder = self._folder(submitted)
            if not all(missing.cannot_run(job.overrides) for job in points) or folder.give_up(task):
                continue
            for job in points:
                folder.write_result(TaskPoint(job.overrides, job.index, job.repeat), NOT_STARTED)
            cancelled.add(submitted.job_id)
        if cancelled:
            self.queue.cancel(sorted(cancelled))

    def _states(self, ids: Sequence[str]) -> Mapping[str, JobState] | None:
        try:
            return self.queue.states(ids)
        except QueueError:
            return None  # a controller that restarts is not a reason to give up: bundles land meanwhile

    def _outcome(
        self, job: SweepJob, states: Mapping[str, JobState] | None
    ) -> RunOutcome | GaveUpError | None:
        """Return how a job ended, or None while that is open."""
        key = (job.index, job.repeat)
        if key in self.session.outcomes:  # its bundle has landed
            return self.session.outcomes[key]
        submitted = self.ledger.jobs[job.job_key]
        result = self._result(submitted)
        if isinstance(result, RunOutcome):
            return result
        if result == NOT_STARTED:
            return GaveUpError()
        if result is None:
            if states is None or states[submitted.job_id].active:
                self._ended_at.pop(job.job_key, None)
                return None
            ended_at = self._ended_at.setdefault(job.job_key, time.monotonic())
            if time.monotonic() - ended_at < LAG_S:
                return None
        state = states[submitted.job_id] if states else JobState(submitted.job_id)
        record = self._lost(job, submitted, state, result)
        write_lost(self.session.outputs_dir, record, self._logs(submitted))
        return RunOutcome(record.run_id, "failed", failure=record.failure)

    def _result(self, submitted: SubmittedJob) -> RunOutcome | Failure | None:
        """Return what the task's own Python says: an outcome, what it raised, or nothing."""
        return self._folder(submitted).result(submitted.index, submitted.repeat)

    def _folder(self, submitted: SubmittedJob) -> BatchFolder:
        return BatchFolder(self.use.room / submitted.batch)

    def _lost(
        self, job: SweepJob, submitted: SubmittedJob, state: JobState, raised: Failure | None
    ) -> RunRecord:
        """Return the record of a job that left no bundle: what its Python raised, else what Slurm says."""
        failure = raised
        if failure is None:
            where = f" on {state.node}" if state.node else ""
            how = f"{state.state} ({state.reason})" if state.reason else state.state
            text = f"ended as {how}{where} without a result"
            tail = self._log_tail(submitted)
            kind, said = reason_in_log(tail, state.failure_kind)
            if kind == "lost" and self._folder(submitted).was_cancelled(submitted.task):
                kind, text = "cancelled", "was cancelled before it began"
            logs = self._logs(submitted)
            named = f" (log: {logs[-1]})" if logs else ""
            failure = Failure(
                "launcher", kind, f"{self.use.name} job {submitted.job_id} {text}{said}{named}", tail
            )
        config = self.compose(job.overrides)
        return lost_record(
            self.session.outputs_dir, submitted, state, failure, config, job.overrides, self.use.name
        )

    def _logs(self, submitted: SubmittedJob) -> list[Path]:
        return self._folder(submitted).logs(submitted.task)

    def _log_tail(self, submitted: SubmittedJob) -> str:
        parts = []
        for log in self._logs(submitted):
            lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            parts.append("\n".join([f"== {log.name}", *lines]))
        return "\n".join(parts)

    def _leave(self) -> None:
        session = self.session
        session.detached = True
        open_jobs = len(session.points) - len(session.skipped) - len(session.outcomes)
        session.announce(
            f"{open_jobs} jobs continue without this terminal. The same command attaches to them again; "
            f"`python -m framework ingest` adds their finished runs to the database; "
            f"`python -m framework cancel {session.sweep_id}` ends them."
        )

    def _in_words(self, waiting: Mapping[str, SweepJob], states: Mapping[str, JobState] | None) -> str:
        if states is None:
            return f"{self.use.name} does not answer"
        ids = {self.ledger.jobs[key].job_id for key in waiting}
        counts = Counter(_in_a_word(states[job_id]) for job_id in ids)
        return " · ".join(f"{count} {state}" for state, count in counts.most_common())


def _in_a_word(state: JobState) -> str:
    """Return a job's state, with what a queue says to one that waits: it may be that it can never begin."""
    return f"{state.state.lower()} ({state.reason})" if state.active and state.reason else state.state.lower()


def cancel_jobs(queue: JobQueue, room: Path, jobs: Sequence[SubmittedJob]) -> None:
    """Cancel the jobs of points, and note it where the queue may forget it. Raises `QueueError`."""
    for batch, task in {(job.batch, job.task) for job in jobs}:
        BatchFolder(room / batch).cancel(task)
    queue.cancel(sorted({job.job_id for job in jobs}))


def settle_open_batches(ledger: JobLedger, queue: JobQueue, room: Path) -> None:
    """Find out what became of submissions whose launcher was killed, and note it.

    A batch that the queue has is noted with its jobs. Of one that it does not have (yet), every task that no job has
    begun is given up for good: its points have no job.

    Raises:
        QueueError: the queue can't be asked.
    """
    for name, intended in ledger.open_batches.items():
        ids = queue.find(name, 1 + max(job.task for job in intended))
        folder = BatchFolder(room / name)
        begun = {}
        for task in {job.task for job in intended}:
            job_id = ids[task] if ids else folder.give_up(task)
            if job_id is not None:
                begun[task] = job_id
        ledger.add([replace(job, job_id=begun[job.task]) for job in intended if job.task in begun])
        ledger.forget([job for job in intended if job.task not in begun])
