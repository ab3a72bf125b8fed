"""A queue on this machine: tasks run in the background, so many at a time, and outlive their launcher.

A process of its own (`python -m framework.jobs.background_queue FOLDER COUNT AT_ONCE LIMIT_S`) works through a
batch. What it knows is in files in the batch's folder, so that anybody can ask.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework.processes.job_queue import Batch, JobState
from framework.processes.process_mark import lives, process_mark
from framework.store import durable

_POLL_S = 0.05
_LARGEST = 10_000
_KINDS = {
    "TIMEOUT": "timeout",
    "CANCELLED": "cancelled",
    "KILLED": "killed",
    "FAILED": "job_failed",
    "COMPLETED": "no_result",
}
_BOOK, _CANCELLED = "queue", "cancelled"


class BackgroundQueue:
    """The batches in a folder, each carried out by a process of this machine."""

    requeue: Sequence[str] = ()

    def __init__(self, room: Path) -> None:
        self.room = room

    def submit(self, batch: Batch) -> list[str]:
        """Start the process that works through a batch; it leaves word of itself before it begins."""
        (batch.script.parent / _BOOK).mkdir(exist_ok=True)
        own = ["-m", "framework.jobs.background_queue", str(batch.script.parent)]
        command = [sys.executable, *own, str(batch.count), str(batch.at_once), str(batch.limit_s)]
        with (batch.script.parent / _BOOK / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _leave_word(
            batch.script.parent, process.pid
        )  # it may take its time, or die, before it does so itself
        return self._ids(batch.name, batch.count)

    def find(self, name: str, count: int) -> list[str]:
        """Return the tasks of a batch whose process has left word of itself."""
        return self._ids(name, count) if _worker(self.room / name) is not None else []

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each task."""
        alive: dict[str, bool] = {}
        states = {}
        for job_id in job_ids:
            name, _, task = job_id.rpartition("_")
            if name not in alive:
                alive[name] = _at_work(self.room / name)
            states[job_id] = self._state(job_id, self.room / name / _BOOK / task, alive[name])
        return states

    def _state(self, job_id: str, book: Path, alive: bool) -> JobState:
        word = book.read_text() if book.exists() else "PENDING"
        if word in _KINDS:
            return JobState(job_id, word, failure_kind=_KINDS[word])
        return JobState(job_id, word, active=True) if alive else JobState(job_id)

    def cancel(self, job_ids: Sequence[str]) -> None:
        """Leave word that tasks are to end; the batch's process ends them within a moment."""
        for job_id in job_ids:
            name, _, task = job_id.rpartition("_")
            with durable.store_errors("write", self.room / name):
                (self.room / name / _BOOK / f"{task}.{_CANCELLED}").touch()

    def largest_array(self) -> int:
        """Return how many tasks a batch may have."""
        return _LARGEST

    @staticmethod
    def _ids(name: str, count: int) -> list[str]:
        return [f"{name}_{task}" for task in range(count)]


def from_settings(settings: Mapping[str, Any], folder: Path) -> BackgroundQueue:
    """Return the queue in a folder. Raises `ConfigError` for a key: it takes none."""
    for key in settings:
        raise ConfigError(
            f"configuration key 'hydra.launcher.{key}': the background queue has none{did_you_mean(key, ())}"
        )
    return BackgroundQueue(folder)


def _worker(batch: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((batch / _BOOK / "worker").read_text())
        return found
    except (OSError, ValueError):  # not there yet
        return None


def _at_work(batch: Path) -> bool:
    worker = _worker(batch)
    return worker is not None and lives(worker["pid"], worker.get("mark"))


def _leave_word(batch: Path, pid: int) -> None:
    word = {"pid": pid, "mark": process_mark(pid)}
    durable.write_whole(batch / _BOOK / "worker", json.dumps(word).encode(), durable=False)


def work(batch: Path, count: int, at_once: int, limit_s: float) -> None:
    """Carry out the tasks of a batch in order; each ends with this process, whatever ends that."""
    from framework.processes.child_process import ChildProcess

    book = batch / _BOOK
    _leave_word(batch, os.getpid())
    waiting = list(range(count))
    running: dict[int, tuple[ChildProcess, float]] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            task = waiting.pop(0)
            if (book / f"{task}.{_CANCELLED}").exists():
                _note(book, task, "CANCELLED")
                continue
            _note(book, task, "RUNNING")
            call = ["bash", str(batch / "task.sh"), str(task), f"{batch.name}_{task}"]
            running[task] = (ChildProcess(call, batch / f"{task}.out", grace_s=0.0), time.monotonic())
        for task, (process, began_s) in list(running.items()):
            word = None
            if process.status is not None:
                word = {0: "COMPLETED", -signal.SIGKILL: "KILLED"}.get(process.status, "FAILED")
            elif (book / f"{task}.{_CANCELLED}").exists():
                word = "CANCELLED"
            elif time.monotonic() - began_s > limit_s:
                word = "TIMEOUT"
            if word is not None:
                process.end()
                _note(book, task, word)
                del running[task]
        time.sleep(_POLL_S)


def _note(book: Path, task: int, word: str) -> None:
    durable.write_whole(book / str(task), word.encode(), durable=False)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
