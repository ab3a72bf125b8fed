"""Which cluster job runs which point of a sweep: `outputs/sweeps/<sweep_id>.jobs.json`.

Written right after each submission, so that the same command finds its jobs again after Ctrl-C, a closed laptop
or a killed launcher, and submits nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

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
        job_id: Slurm's id, `123` or `123_4`.
        index, repeat: where the point is in its sweep.
        submitted_at: Unix time in seconds.
    """

    job_key: str
    job_id: str
    index: int
    repeat: int
    submitted_at: float


class JobLedger:
    """The latest job of each point of one sweep."""

    def __init__(self, outputs: Path | str, sweep_id: str) -> None:
        self.sweep_id = sweep_id
        self.path = sweeps_folder(outputs) / f"{sweep_id}{_SUFFIX}"
        self.jobs: dict[str, SubmittedJob] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again; a missing file means no jobs. Raises `StoreError` for a torn one."""
        try:
            rows = json.loads(self.path.read_text())["jobs"]
            self.jobs = {row["job_key"]: SubmittedJob(**row) for row in rows}
        except FileNotFoundError:
            self.jobs = {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"{self.path} can't be read ({error}); move it away to forget its jobs"
            ) from None

    def add(self, jobs: list[SubmittedJob]) -> None:
        """Note jobs, each in place of an earlier one of its point."""
        self.jobs |= {job.job_key: job for job in jobs}
        document = {"sweep_id": self.sweep_id, "jobs": [asdict(job) for job in self.jobs.values()]}
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
