"""A sweep on Slurm: submit what no job has yet, watch what lands, account for what does not.

Python's own result (submitit's pickle) and the run's bundle say how a job ended; only where both are missing is
Slurm asked. A job whose Python raised is `COMPLETED` to Slurm.
"""

from __future__ import annotations

import pickle
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from framework.configuration.hydra_private import returned_or_raised
from framework.errors import StoreError, TimeLimitError, one_line
from framework.run.stages import failure_kind
from framework.run_record import Failure, RunOutcome, RunRecord
from framework.slurm.job_ledger import JobLedger, SubmittedJob
from framework.slurm.lost_job import lost_record, reason_in_log, write_lost
from framework.slurm.queue import JobState, SlurmError, cancel_jobs, job_states
from framework.store.lookup import failed_job_keys
from framework.sweep.session import SweepSession

POLL_S = 2.0
LAG_S = 5.0  # what a shared file system may take to show what a job wrote at its end
_LOG_TAIL_LINES = 40
_RAISED = re.compile(r"(?:[\w.]+\.)?(?P<kind>[A-Za-z_]\w*)(?:: (?P<message>.*))?")

Submit = Callable[[Sequence["SweepJob"]], Sequence[str]]


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


class SlurmSweep:
    """The jobs of one launch.

    Args:
        session: where outcomes go; its `outputs_dir` is on a file system that the nodes share.
        folder: where submitit keeps its pickles and logs.
        submit: hands jobs to Slurm as one array and returns their ids.
        largest_array: how many jobs an array may have.
        compose: overrides → configuration of a job, for the record of one that never ran.
    """

    def __init__(
        self,
        session: SweepSession,
        folder: Path,
        submit: Submit,
        largest_array: int,
        compose: Callable[[Sequence[str]], DictConfig],
    ) -> None:
        self.session = session
        self.folder = folder
        self.submit = submit
        self.largest_array = largest_array
        self.compose = compose
        self.ledger = JobLedger(session.outputs_dir, session.sweep_id)
        self._ended_at: dict[str, float] = {}

    def run(self, jobs: Sequence[SweepJob]) -> list[RunOutcome]:
        """Return the outcome of every job, in order, when all have ended.

        Raises:
            KeyboardInterrupt: the user left; the jobs go on, and how to come back to them has been said.
        """
        with self.ledger.submitting():
            missing = self._missing(jobs)
            for start in range(0, len(missing), self.largest_array):
                self._submit(missing[start : start + self.largest_array])
        try:
            return self._collect(jobs)
        except KeyboardInterrupt:
            self._leave()
            raise

    def _missing(self, jobs: Sequence[SweepJob]) -> list[SweepJob]:
        """Return the jobs to submit; those still at work are attached to."""
        known = [job for job in jobs if job.job_key in self.ledger.jobs]
        states = job_states([self.ledger.jobs[job.job_key].job_id for job in known])
        active = {job.job_key for job in known if states[self.ledger.jobs[job.job_key].job_id].active}
        ended = [job for job in known if job.job_key not in active]
        self._settle_ended(ended, states)
        if active:
            self.session.announce(f"attached to {len(active)} jobs that are waiting or running")
        return [job for job in jobs if job.job_key not in active]

    def _settle_ended(self, ended: Sequence[SweepJob], states: Mapping[str, JobState]) -> None:
        """Record the jobs that ended without a bundle while no launcher was looking; they are submitted again."""
        recorded = failed_job_keys(self.session.outputs_dir, [job.job_key for job in ended])
        for job in ended:
            submitted = self.ledger.jobs[job.job_key]
            since = time.strftime("%Y%m%dT%H%M%S", time.gmtime(submitted.submitted_at))
            has_bundle = (Path(self.session.outputs_dir) / "runs" / recorded.get(job.job_key, "-")).is_dir()
            result = self._result(submitted)
            if isinstance(result, RunOutcome) or (has_bundle and recorded[job.job_key] >= since):
                continue
            record = self._lost(job, submitted, states[submitted.job_id], result)
            self.session.earlier.add(
                record.run_id
            )  # before it lands: it is not an outcome of the job to come
            write_lost(self.session.outputs_dir, record, self._logs(submitted))

    def _submit(self, jobs: Sequence[SweepJob]) -> None:
        now = time.time()
        ids = self.submit(jobs)
        self.ledger.add(
            [
                SubmittedJob(job.job_key, job_id, job.index, job.repeat, now)
                for job, job_id in zip(jobs, ids, strict=True)
            ]
        )
        arrays = sorted({job_id.partition("_")[0] for job_id in ids})
        self.session.announce(
            f"{len(jobs)} jobs submitted to Slurm as {', '.join(arrays)}; Ctrl-C leaves them running"
        )

    def _collect(self, jobs: Sequence[SweepJob]) -> list[RunOutcome]:
        waiting = {job.job_key: job for job in jobs}
        outcomes: dict[str, RunOutcome] = {}
        gave_up = False
        while waiting:
            states = self._states([self.ledger.jobs[key].job_id for key in waiting])
            for key, job in list(waiting.items()):
                outcome = self._outcome(job, states)
                if outcome is not None:
                    outcomes[key] = outcome
                    self.session.add((job.index, job.repeat), outcome)
                    del waiting[key]
            self.session.on_queue(_in_words(waiting, self.ledger, states))
            if self.session.gave_up and waiting and not gave_up:
                gave_up = True
                self.session.announce(
                    f"max_failures={self.session.max_failures}: the other jobs are cancelled"
                )
                cancel_jobs([self.ledger.jobs[key].job_id for key in waiting])
            if waiting:
                time.sleep(POLL_S)
        return [outcomes[job.job_key] for job in jobs]

    def _states(self, ids: Sequence[str]) -> Mapping[str, JobState] | None:
        try:
            return job_states(ids)
        except SlurmError:
            return None  # a controller that restarts is not a reason to give up: bundles land meanwhile

    def _outcome(self, job: SweepJob, states: Mapping[str, JobState] | None) -> RunOutcome | None:
        """Return how a job ended, or None while that is open."""
        key = (job.index, job.repeat)
        if key in self.session.outcomes:  # its bundle has landed
            return self.session.outcomes[key]
        submitted = self.ledger.jobs[job.job_key]
        result = self._result(submitted)
        if isinstance(result, RunOutcome):
            return result
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
        """Return what the job's own Python says: an outcome, what it raised, or nothing."""
        try:
            said, value = pickle.loads((self.folder / f"{submitted.job_id}_0_result.pkl").read_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:  # a class of the job's that does not exist here, a torn file
            return Failure("launcher", type(error).__name__, f"its result can't be read: {one_line(error)}")
        if said != "success":
            lines = str(value).strip().splitlines() or [""]
            raised = _RAISED.fullmatch(lines[-1])
            kind, message = (raised["kind"], raised["message"]) if raised else ("job_failed", lines[-1])
            if kind == "UncompletedJobError":  # submitit's, for a signal before the run had begun
                kind = TimeLimitError.failure_kind
            return Failure("launcher", kind, message or kind, str(value))
        return _returned(value)

    def _lost(
        self, job: SweepJob, submitted: SubmittedJob, state: JobState, raised: Failure | None
    ) -> RunRecord:
        """Return the record of a job that left no bundle: what its Python raised, else what Slurm says."""
        failure = raised
        if failure is None:
            where = f" on {state.node}" if state.node else ""
            text = f"Slurm job {submitted.job_id} ended as {state.state}{where} without a result"
            tail = self._log_tail(submitted)
            kind, said = reason_in_log(tail, state.failure_kind)
            logs = self._logs(submitted)
            named = f" (log: {logs[-1]})" if logs else ""
            failure = Failure("launcher", kind, f"{text}{said}{named}", tail)
        config = self.compose(job.overrides)
        return lost_record(self.session.outputs_dir, submitted, state, failure, config, job.overrides)

    def _logs(self, submitted: SubmittedJob) -> list[Path]:
        logs = [self.folder / f"{submitted.job_id}_0_log.{kind}" for kind in ("out", "err")]
        return [log for log in logs if log.is_file()]

    def _log_tail(self, submitted: SubmittedJob) -> str:
        parts = []
        for log in self._logs(submitted):
            lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
            parts.append("\n".join([f"== {log.name.rpartition('_')[2]}", *lines]))
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


def _returned(job_return: Any) -> RunOutcome | Failure:
    """Return the outcome in Hydra's `JobReturn`, or what the job raised."""
    value = returned_or_raised(job_return)
    if isinstance(value, RunOutcome):
        return value
    if isinstance(value, BaseException):
        if isinstance(value, StoreError):
            return Failure("bundle", type(value).__name__, one_line(value))
        return Failure("launcher", failure_kind(value), one_line(value))
    return Failure("launcher", "no_result", f"the job returned {type(value).__name__} instead of an outcome")


def _in_words(
    waiting: Mapping[str, SweepJob], ledger: JobLedger, states: Mapping[str, JobState] | None
) -> str:
    if states is None:
        return "Slurm does not answer"
    counts = Counter(states[ledger.jobs[key].job_id].state.lower() for key in waiting)
    return " · ".join(f"{count} {state}" for state, count in counts.most_common())
