"""One task of a batch, on a node: `python -m framework.jobs.task FOLDER TASK JOB_ID`.

It restores Hydra's job from what the launcher left on the shared file system, and carries out the points of the task.
Of several, each is carried out in a copy of this process, so that what ends one (a crash, no memory) ends it alone.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from framework.errors import StoreError, TimeLimitError, one_line
from framework.jobs.batch_folder import NOT_STARTED, BatchFolder, TaskLimits, TaskPoint
from framework.processes.garbage import seldom_collected
from framework.processes.process_mark import own_age_s
from framework.processes.warm_copy import OVERDUE, in_warm_copy
from framework.run.number_libraries import load_numpy_and_arrow
from framework.run.provenance import JOB, lasting_provenance
from framework.run.stages import failure_kind
from framework.run_record import Failure, RunOutcome
from framework.sweep.session import GaveUpError

_CERTAIN_SHARE, _CERTAIN_S = (
    0.8,
    600.0,
)  # of a limit: a notice after that is for the limit, before it for preemption
_DEAF_S = 5.0  # what a run that shares its job may take beyond its limit before it is killed


@dataclass(frozen=True)
class HydraJob:
    """What carries out any point of a launch: Hydra's own context, the study's function, its base configuration.

    `command` is the launcher's command line: a run's provenance names what the user typed.
    """

    hydra_context: Any
    task_function: Any
    config: Any
    singletons: Any
    command: Sequence[str]

    def composed(self, overrides: Sequence[str]) -> Any:
        """Return the configuration of a point."""
        from hydra.core.singleton import Singleton
        from hydra.core.utils import setup_globals

        sys.argv = list(self.command)
        Singleton.set_state(self.singletons)
        setup_globals()
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def __call__(self, overrides: Sequence[str], number: int, job_id: str) -> Any:
        """Carry out one point and return Hydra's `JobReturn`."""
        from hydra.core.utils import run_job
        from omegaconf import open_dict

        config = self.composed(overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = job_id, number
        return run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


def pickled(job: HydraJob) -> bytes:
    """Return a job as bytes that a node can restore."""
    import cloudpickle

    data: bytes = cloudpickle.dumps(job)
    return data


def carry_out(folder: Path, task: int, job_id: str) -> int:
    """Carry out the points of a task that have no result yet; return the exit status.

    A job that was requeued goes on where it stopped.
    """
    batch = BatchFolder(folder)
    if not batch.begin(task, job_id):
        print(f"task {task} was given up, or is another job's: nothing to do")
        return 0
    tasks, limits = batch.read()
    os.environ[JOB] = job_id
    load_numpy_and_arrow()
    points = tasks[task]
    open_points = [point for point in points if batch.result(point.index, point.repeat) is None]
    with _notices(limits, len(points), job_id, batch, task):
        try:
            job = pickle.loads(batch.launch_file.read_bytes()) if open_points else None
        except Exception as error:
            traceback.print_exc()
            for point in open_points:
                batch.write_result(point, _raised(error))
            return 0
        if len(points) == 1:
            for point in open_points:
                _carry_out(job, point, batch, limits, job_id, alone=True)
            return 0
        for point in open_points:
            _get_ready(job, point)
            carry = partial(_carry_out, job, point, batch, limits, job_id)
            ended = in_warm_copy(carry, limits.run_s + _DEAF_S)
            if ended is not None and batch.result(point.index, point.repeat) is None:
                batch.write_result(point, _ended(ended))
    return 0


def _carry_out(
    job: Any, point: TaskPoint, batch: BatchFolder, limits: TaskLimits, job_id: str, alone: bool = False
) -> None:
    """Carry out one point and leave what it came to; `alone`: this process is for it and nothing else."""
    try:
        with _own_limit(limits):
            result = outcome_of(job(point.overrides, point.index, job_id))
    except Exception as error:
        traceback.print_exc()
        result = _raised(error)
    batch.write_result(point, result, own_age_s() if alone else None)


def _get_ready(job: Any, point: TaskPoint) -> None:
    """Do once what each copy would do: find the plugins, read the configuration's files, ask where this is."""
    from framework.plugins import plugin_manager

    with suppress(Exception):  # the point itself says why
        plugin_manager()
        lasting_provenance()
        job.composed(point.overrides)


def _ended(how: str) -> Failure:
    """Return the failure of a point whose process left no result."""
    from framework.jobs.lost_job import remedy

    kind = {"SIGKILL": "killed", OVERDUE: "timeout"}.get(how, "job_failed")
    said = "did not end at its time limit and was killed" if how == OVERDUE else f"ended by {how}"
    return Failure("launcher", kind, f"the run's own process {said}{remedy(kind)}")


def outcome_of(job_return: Any) -> RunOutcome | Failure:
    """Return the outcome in Hydra's `JobReturn`, or what the job raised."""
    from framework.configuration.hydra_private import returned_or_raised

    value = returned_or_raised(job_return)
    if isinstance(value, RunOutcome):
        return value
    if isinstance(value, GaveUpError):
        return NOT_STARTED
    if isinstance(value, BaseException):
        return _raised(value)
    return Failure("launcher", "no_result", f"the job returned {type(value).__name__} instead of an outcome")


def _raised(error: BaseException) -> Failure:
    if isinstance(error, StoreError):
        return Failure("bundle", failure_kind(error), one_line(error))
    text = "".join(traceback.format_exception(error))
    return Failure("launcher", failure_kind(error), one_line(error), text)


@dataclass
class _Ending:
    """The end of a run that has a limit of its own: its alarm and the queue's notice come at the same moment.

    The run hears of the first alone. The second would hit it where it already writes how it ended.
    """

    under_way: bool = False
    said: bool = False

    def say(self, what: str) -> None:
        if not self.said:
            self.said = self.under_way
            raise TimeLimitError(what)


_ENDING = _Ending()


@contextmanager
def _own_limit(limits: TaskLimits) -> Iterator[None]:
    """End a run in order at its own limit: it may share its job with others, and not every queue gives notice."""

    def ring(signum: int, frame: FrameType | None) -> None:
        _ENDING.say("the run's time limit is reached")

    _ENDING.under_way, _ENDING.said = True, False
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(1.0, limits.run_s - limits.notice_s))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        _ENDING.under_way = False


@contextmanager
def _notices(limits: TaskLimits, runs: int, job_id: str, batch: BatchFolder, task: int) -> Iterator[None]:
    """Turn the queue's notice (SIGUSR2) before the end into an error in the run, which becomes its failed bundle.

    Early in the job's time it means preemption: the job is put back into the queue, if that has a command for it.
    So is a job at its limit as often as `max_timeouts` allows.
    """
    began_s, limit_s = time.monotonic(), runs * limits.run_s
    certain_s = min(_CERTAIN_SHARE * limit_s, limit_s - _CERTAIN_S)

    def notice(signum: int, frame: FrameType | None) -> None:
        at_limit = time.monotonic() - began_s >= certain_s
        if (not at_limit or _may_time_out_again(batch, task, limits)) and _requeued(limits, job_id):
            os._exit(1)  # the queue ends this attempt anyway
        if at_limit:
            _ENDING.say("the job's time limit is reached")
            return
        print("notice of preemption: the queue decides what becomes of this job", file=sys.stderr)

    before = {signal.SIGUSR2: signal.signal(signal.SIGUSR2, notice)}
    for number in (signal.SIGTERM, signal.SIGCONT):  # sent ahead of the end, and at a preemption
        before[number] = signal.signal(number, _ignored)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _ignored(signum: int, frame: FrameType | None) -> None:
    print(f"{signal.Signals(signum).name} is left to the queue", file=sys.stderr)


def _may_time_out_again(batch: BatchFolder, task: int, limits: TaskLimits) -> bool:
    file = batch.folder / "claims" / f"{task}.timeouts"
    so_far = len(file.read_text()) if file.exists() else 0
    if so_far >= limits.max_timeouts:
        return False
    file.write_text("x" * (so_far + 1))
    return True


def _requeued(limits: TaskLimits, job_id: str) -> bool:
    if not limits.requeue:
        return False
    try:
        done = subprocess.run([*limits.requeue, job_id], timeout=30, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"could not be requeued: {error}", file=sys.stderr)
        return False
    return done.returncode == 0


if __name__ == "__main__":
    with seldom_collected():
        sys.exit(carry_out(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
