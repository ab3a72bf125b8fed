"""Which cluster job runs which point of a sweep: `outputs/sweeps/<sweep_id>.jobs.json`.

Written before each submission (the intent: points and the batch that they go into) and after it (the jobs' ids), so
that the same command finds its jobs again after Ctrl-C, a closed laptop or a launcher killed at any moment, and
submits nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from framework.errors import StoreError, did_you_mean
from framework.processes.file_lock import locked
from framework.store import durable
from framework.store.layout import sweeps_folder

_SUFFIX = ".jobs.json"


@dataclass(frozen=True)
class SubmittedJob:
    """A point of a sweep in the hands of the cluster.

    Attributes:
        job_key: the point (configuration and repeat), as the store knows it.
        job_id: the queue's id, e.g. `123_4`; "" while nobody knows whether the submission was accepted.
        index, repeat: where the point is in its sweep.
        submitted_at: Unix time in seconds.
        batch, task: the batch, by its name, and the number of the task in it that carries the point out.
    """

    job_key: str
    job_id: str
    index: int
    repeat: int
    submitted_at: float
    batch: str = ""
    task: int = 0


class JobLedger:
    """The latest job of each point of one sweep.

    Attributes:
        queue: how the queue that has them is reached (`framework.jobs.known_queues`).
    """

    def __init__(self, outputs: Path | str, sweep_id: str) -> None:
        self.sweep_id = sweep_id
        self.path = sweeps_folder(outputs) / f"{sweep_id}{_SUFFIX}"
        self.jobs: dict[str, SubmittedJob] = {}
        self.queue: dict[str, Any] = {"queue": "slurm"}
        self.reload()

    def reload(self) -> None:
        """Read the file again; a missing file means no jobs. Raises `StoreError` for a torn one."""
        try:
            document = json.loads(self.path.read_text())
            self.jobs = {row["job_key"]: SubmittedJob(**row) for row in document["jobs"]}
            self.queue = dict(document.get("queue") or self.queue)
        except FileNotFoundError:
            self.jobs = {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self.path} can't be read ({error}); move it away to forget its jobs"
            ) from None

    def add(self, jobs: list[SubmittedJob]) -> None:
        """Note jobs, each in place of an earlier one of its point."""
        self.jobs |= {job.job_key: job for job in jobs}
        self._write()

    def forget(self, jobs: Iterable[SubmittedJob]) -> None:
        """Drop jobs that were never submitted."""
        gone = {job.job_key for job in jobs}
        self.jobs = {key: job for key, job in self.jobs.items() if key not in gone}
        self._write()

    @property
    def open_batches(self) -> dict[str, list[SubmittedJob]]:
        """Batches of which nobody knows whether they were accepted, by name."""
        found: dict[str, list[SubmittedJob]] = {}
        for job in self.jobs.values():
            if not job.job_id:
                found.setdefault(job.batch, []).append(job)
        return found

    def _write(self) -> None:
        jobs = [asdict(job) for job in self.jobs.values()]
        document = {"sweep_id": self.sweep_id, "queue": self.queue, "jobs": jobs}
        durable.write_whole(self.path, json.dumps(document).encode())

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Keep other launchers of this sweep on this machine out while jobs are looked up and submitted."""
        with locked(self.path.with_suffix(".lock")):  # without locks the look-up alone must do
            self.reload()
            yield


def ledgers(outputs: Path | str) -> list[JobLedger]:
    """Return the ledgers of all sweeps that were ever submitted, the latest first."""
    files = list((sweeps_folder(outputs)).glob(f"*{_SUFFIX}"))
    files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return [JobLedger(outputs, file.name.removesuffix(_SUFFIX)) for file in files]


def ledger_of(outputs: Path | str, sweep_id: str) -> JobLedger:
    """Return one sweep's ledger. Raises `StoreError` when no job of such a sweep was ever submitted."""
    known = {ledger.sweep_id: ledger for ledger in ledgers(outputs)}
    if sweep_id not in known:
        raise StoreError(f"no jobs of a sweep '{sweep_id}' in {outputs}{did_you_mean(sweep_id, known)}")
    return known[sweep_id]
