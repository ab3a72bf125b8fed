"""A batch system in forty lines: `hydra/launcher=overnight` has one shell of this machine work through the runs.

Enough to see what `framework.processes.job_queue.JobQueue` asks for; a real one calls `qsub`, `bsub` and the like.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import ConfigError
from framework.processes.job_queue import Batch, JobState


class OvernightQueue:
    """One shell for each batch; its process id is in the folder of the batch."""

    requeue: Sequence[str] = ()  # a task can't be put back

    def __init__(self, settings: Mapping[str, Any], folder: Path) -> None:
        if settings:
            raise ConfigError(f"configuration key 'hydra.launcher.{next(iter(settings))}': unknown")
        self.folder = folder  # of all batches of the sweep; each has a folder of its name there

    def submit(self, batch: Batch) -> list[str]:
        """Start the shell. It writes its process id before it begins, so that `find` knows of it."""
        pid, script, logs = (
            shlex.quote(str(path)) for path in (self._pid_file(batch.name), batch.script, batch.logs)
        )
        tasks = " ".join(map(str, range(batch.count)))
        loop = f"bash {script} $n {batch.name}_$n >>{logs}/$n.out 2>>{logs}/$n.err; echo $? >{logs}/$n.status"
        subprocess.Popen(
            ["sh", "-c", f"echo $$ >{pid}; for n in {tasks}; do {loop}; done"],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        return self._ids(batch.name, batch.count)

    def find(self, name: str, count: int) -> list[str]:
        """Return the tasks of a batch that has a shell."""
        return self._ids(name, count) if self._pid_file(name).exists() else []

    def states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        """Return COMPLETED or FAILED for a task that has ended; ACTIVE for one whose shell lives."""
        return {job_id: self._state(job_id) for job_id in job_ids}

    def _state(self, job_id: str) -> JobState:
        name, _, task = job_id.rpartition("_")
        status = self.folder / name / f"{task}.status"
        if status.exists():
            good = status.read_text().strip() == "0"
            return JobState(
                job_id, "COMPLETED" if good else "FAILED", failure_kind="no_result" if good else "job_failed"
            )
        return JobState(job_id, "ACTIVE", active=True) if self._alive(name) else JobState(job_id)

    def _alive(self, name: str) -> bool:
        try:
            os.kill(int(self._pid_file(name).read_text()), 0)
        except (OSError, ValueError):
            return False
        return True

    def cancel(self, job_ids: Sequence[str]) -> None:
        """End the shell of each batch with all that it started: it has no list to take single tasks from."""
        for name in {job_id.rpartition("_")[0] for job_id in job_ids}:
            with suppress(OSError, ValueError):
                os.killpg(int(self._pid_file(name).read_text()), signal.SIGTERM)

    def largest_array(self) -> int:
        """Return how many tasks a shell is given."""
        return 1000

    def _pid_file(self, name: str) -> Path:
        return self.folder / name / "shell.pid"

    @staticmethod
    def _ids(name: str, count: int) -> list[str]:
        return [f"{name}_{task}" for task in range(count)]
