"""Who carries out a point: two processes that run one sweep share its points, as two launchers of Slurm jobs do.

A point is claimed by the kernel's lock on a file, which vanishes with its process, whatever ends that. Where a file
system has no locks, everybody has every claim, and a point may be run twice; its key makes that one observation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from framework.errors import StoreError
from framework.processes.file_lock import locked
from framework.store.layout import running_folder


class HeldElsewhereError(Exception):
    """Another process carries out this point now."""


def _claim_file(outputs: Path | str, job_key: str) -> Path:
    return running_folder(outputs) / ".claims" / f"{job_key}.lock"


@contextmanager
def claimed(outputs: Path | str, job_key: str) -> Iterator[None]:
    """Hold the claim to a point. Raises `HeldElsewhereError` if somebody else does."""
    with ExitStack() as held:
        try:
            held.enter_context(locked(_claim_file(outputs, job_key), timeout_s=0.0))
        except StoreError:
            raise HeldElsewhereError(job_key) from None
        except OSError:
            pass  # the folder can't be written: the run will say so
        yield


def is_free(outputs: Path | str, job_key: str) -> bool:
    """Return whether nobody holds the claim to a point now."""
    try:
        with claimed(outputs, job_key):
            return True
    except HeldElsewhereError:
        return False
