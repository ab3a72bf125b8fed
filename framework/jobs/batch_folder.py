"""What launcher and tasks share of one submission: a folder of its own on the file system that all nodes see.

    tasks.json      which points each task carries out, and the limits that it keeps
    launch.pkl      Hydra's job, restored by every task
    task.sh         what the queue calls: `bash task.sh TASK JOB_ID`
    claims/TASK     who has the task: the job that began it, or the launcher that gave it up
    results/        what each point came to, as the task's own Python says
    TASK.out, .err  the task's log

A task is claimed by a link that can be made once. A launcher that doesn't know whether a submission was accepted
gives its tasks up in the same way: whichever comes first holds, so that no task is lost and none is done twice.
"""

from __future__ import annotations

import json
import os
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from framework.errors import StoreError
from framework.run_record import Failure, RunOutcome
from framework.store import durable
from framework.store.layout import sweeps_folder

_GIVEN_UP, _CANCELLED = "given up", ": cancelled"
NOT_STARTED = Failure("launcher", "not_started", "what it needs was found to be missing")
"""Result of a point that leaves no run behind: another point has said why."""
_EXPORTED = ("FRAMEWORK_", "PYTHONPATH")


@dataclass(frozen=True)
class TaskPoint:
    """A point of the sweep as a task gets it."""

    overrides: Sequence[str]
    index: int
    repeat: int


@dataclass(frozen=True)
class TaskLimits:
    """What tasks of a batch keep to.

    Attributes:
        run_s: time limit of one run, seconds.
        notice_s: how long before the limit a run is ended.
        max_timeouts: how often a job that has used its time up is put back into the queue.
        requeue: command that does so, without the job's id; empty if there is none.
    """

    run_s: float
    notice_s: float
    max_timeouts: int = 0
    requeue: Sequence[str] = ()


class BatchFolder:
    """The folder of one batch, as the launcher and its tasks see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """Name of the batch, and of its jobs."""
        return self.folder.name

    @property
    def script(self) -> Path:
        """What carries out one task."""
        return self.folder / "task.sh"

    @property
    def launch_file(self) -> Path:
        """Hydra's job, pickled."""
        return self.folder / "launch.pkl"

    @staticmethod
    def new(
        room: Path,
        prefix: str,
        tasks: Sequence[Sequence[TaskPoint]],
        limits: TaskLimits,
        launch: bytes,
        python: Sequence[str],
        setup: Sequence[str],
    ) -> BatchFolder:
        """Make a folder under a name that no other batch has. Raises `StoreError`.

        Args:
            room: folder of the sweep's batches.
            prefix: what the name begins with.
            tasks: the points of each task.
            launch: Hydra's job, pickled.
            python: how Python is started on a node.
            setup: shell lines before that.
        """
        made = BatchFolder(room / f"{prefix}-{uuid.uuid4().hex[:10]}")
        document = {"limits": asdict(limits), "tasks": [[asdict(point) for point in task] for task in tasks]}
        with durable.store_errors("write", made.folder):
            (made.folder / "claims").mkdir(parents=True)
            (made.folder / "results").mkdir()
        durable.write_whole(made.folder / "tasks.json", json.dumps(document).encode())
        durable.write_whole(made.launch_file, launch)
        call = f'exec {shlex.join([*python, "-u", "-m", "framework.jobs.task", str(made.folder)])} "$1" "$2"'
        exports = [
            f"export {name}={shlex.quote(value)}"
            for name, value in sorted(os.environ.items())
            if name.startswith(_EXPORTED)
        ]
        # the notice of the time limit may come before there is a process that understands it
        lines = ["trap '' USR2", f"cd {shlex.quote(os.getcwd())} || exit 1", *exports, *setup, call, ""]
        durable.write_whole(made.script, "\n".join(lines).encode())
        return made

    def read(self) -> tuple[list[list[TaskPoint]], TaskLimits]:
        """Return the points of each task, and the limits. Raises `StoreError`."""
        try:
            document = json.loads((self.folder / "tasks.json").read_text())
            tasks = [[TaskPoint(**point) for point in task] for task in document["tasks"]]
            return tasks, TaskLimits(**document["limits"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{self.folder / 'tasks.json'} can't be read: {error}") from None

    def begin(self, task: int, job_id: str) -> bool:
        """Claim a task for a job; return whether it may carry it out: not if it was given up, or is another job's."""
        return self._claim(task, f"job {job_id}") == f"job {job_id}"

    def give_up(self, task: int, why: str = "") -> str | None:
        """See that a task is never begun; return the id of the job that has begun it if it is too late."""
        holder = self._claim(task, _GIVEN_UP + why)
        return None if holder.startswith(_GIVEN_UP) else holder.removeprefix("job ")

    def cancel(self, task: int) -> None:
        """Note that a task is to end: a queue may forget a job that was cancelled before it began."""
        self.give_up(task, _CANCELLED)

    def was_cancelled(self, task: int) -> bool:
        """Return whether a task was cancelled before it began."""
        claim = self.folder / "claims" / str(task)
        return claim.exists() and claim.read_text() == _GIVEN_UP + _CANCELLED

    def _claim(self, task: int, text: str) -> str:
        claim = self.folder / "claims" / str(task)
        own = self.folder / "claims" / f".{task}-{uuid.uuid4().hex}"
        with durable.store_errors("write", claim):
            try:
                durable.write_flushed(own, text.encode())
                os.link(own, claim)
            except FileExistsError:
                return claim.read_text()
            finally:
                own.unlink(missing_ok=True)
        return text

    def logs(self, task: int) -> list[Path]:
        """Return the logs of a task that are there."""
        logs = [self.folder / f"{task}.{kind}" for kind in ("out", "err")]
        return [log for log in logs if log.is_file()]

    def write_result(
        self, point: TaskPoint, result: RunOutcome | Failure, process_s: float | None = None
    ) -> None:
        """Leave what a point came to. Raises `StoreError`.

        Args:
            process_s: how old the point's process is, seconds; None if it is not one of its own.
        """
        kind = "outcome" if isinstance(result, RunOutcome) else "failure"
        durable.write_whole(
            self._result_file(point.index, point.repeat),
            json.dumps({kind: asdict(result), "process_s": process_s}, default=float).encode(),
        )

    def result(self, index: int, repeat: int) -> RunOutcome | Failure | None:
        """Return what a point came to according to its task's own Python; None if that has not said anything."""
        file = self._result_file(index, repeat)
        try:
            document = json.loads(file.read_text())
            if "outcome" in document:
                return _outcome(document["outcome"])
            return Failure(**document["failure"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            return Failure("launcher", "result_unreadable", f"{file} can't be read: {error}")

    def process_s(self, index: int, repeat: int) -> float | None:
        """Return how old a point's process was at its result, seconds; None where that is not said."""
        try:
            seconds = json.loads(self._result_file(index, repeat).read_text()).get("process_s")
        except (OSError, ValueError, AttributeError):
            return None
        return seconds if isinstance(seconds, float) else None

    def _result_file(self, index: int, repeat: int) -> Path:
        return self.folder / "results" / f"{index}.{repeat}.json"


def batches_folder(outputs: Path | str, sweep_id: str) -> Path:
    """Return the folder of a sweep's batches, under a path that every node understands."""
    return sweeps_folder(outputs).resolve() / f"{sweep_id}.jobs"


def _outcome(plain: Mapping[str, Any]) -> RunOutcome:
    """Return an outcome as it was written; what this version does not know of it, a later one has written."""
    known = {field.name for field in fields(RunOutcome)}
    plain = {name: value for name, value in plain.items() if name in known}
    failure = Failure(**plain["failure"]) if plain["failure"] else None
    bands = {name: (low, high) for name, (low, high) in plain["bands"].items()}
    return RunOutcome(
        **{
            **plain,
            "failure": failure,
            "bands": bands,
            "findings": tuple(plain["findings"]),
            "holds_for": None,
        }
    )
