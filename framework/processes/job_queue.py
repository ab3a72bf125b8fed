"""What a launcher needs of a batch system, so that any can carry out a sweep: Slurm, PBS, LSF, this machine.

A plugin brings one with the hook `job_queues`; `hydra/launcher` options with `queue: NAME` use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from framework.errors import UserError

UNKNOWN = "UNKNOWN"


class QueueError(UserError):
    """The queue can't be asked or refuses: no client programs, no answer, a complaint in one line."""


@dataclass(frozen=True)
class Batch:
    """Tasks to be submitted in one go.

    Attributes:
        name: unique; the queue keeps it as the name of the jobs, so that `find` finds them.
        count: number of tasks, at most what `largest_array` says.
        script: what carries out one task, on the file system that all nodes share. The queue has it called as
            `bash SCRIPT TASK JOB_ID`: the number of the task from 0, and the id that `submit` returned for it.
        logs: an existing folder; standard output and error of a task belong in `TASK.out` and `TASK.err` there.
        limit_s: time limit of one task, seconds.
        at_once: how many tasks may run at the same time.
    """

    name: str
    count: int
    script: Path
    logs: Path
    limit_s: float
    at_once: int


@dataclass(frozen=True)
class JobState:
    """A job as its queue sees it.

    Attributes:
        job_id: as `submit` returned it.
        state: the queue's own word (`PENDING`, `RUNNING`, `TIMEOUT` …); `UNKNOWN` for a job that it has forgotten.
        node, partition, reason: as the queue says; empty where there is none.
        active: whether the job waits or runs.
        failure_kind: what to call its end if it left no result: `timeout`, `cancelled`, `node_failure`,
            `out_of_memory`, `preempted`, `killed`, `job_failed`, `no_result`, `lost`.
    """

    job_id: str
    state: str = UNKNOWN
    node: str = ""
    partition: str = ""
    reason: str = ""
    active: bool = False
    failure_kind: str = "lost"


@runtime_checkable
class JobQueue(Protocol):
    """A batch system. Every method may raise `QueueError`, and must end within about half a minute.

    A launcher writes down what it is about to submit, submits, and writes down the ids. If it is killed in between,
    the next one asks `find`. Tasks of a batch that was never accepted, or is found too late, do nothing.
    """

    @property
    def requeue(self) -> Sequence[str]:
        """Command that puts a running task back into the queue, without its id; empty if there is none."""
        ...

    def submit(self, batch: Batch) -> Sequence[str]:
        """Hand over all tasks of a batch, or none; return the id of each, in order."""
        ...

    def find(self, name: str, count: int) -> Sequence[str]:
        """Return the ids of the tasks of the batch of this name, in order; nothing if the queue knows none."""
        ...

    def states(self, job_ids: Sequence[str]) -> Mapping[str, JobState]:
        """Return the state of each job; one that the queue has forgotten is `UNKNOWN` and not active."""
        ...

    def cancel(self, job_ids: Sequence[str]) -> None:
        """End jobs, waiting or running; those that have ended are left alone."""
        ...

    def largest_array(self) -> int:
        """Return how many tasks a batch may have."""
        ...
