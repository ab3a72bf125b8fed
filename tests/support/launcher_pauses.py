"""Something happens at the launcher's pauses between two looks at its jobs, or before it looks for the first time.

Only the launcher's own clock is replaced: others sleep too, a `subprocess` that waits for its end among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from framework.jobs import submission
from framework.jobs.job_ledger import JobLedger
from framework.processes.job_queue import JobQueue


def while_it_watches(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call `happens` instead of each pause."""
    names = ("time", "monotonic", "strftime", "gmtime")
    clock = SimpleNamespace(**{name: getattr(time, name) for name in names})
    clock.sleep = lambda seconds: happens()
    patch.setattr(submission, "time", clock)


def once_planned(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call `happens` between the plan of a launch and its look at what earlier jobs left."""
    settle = submission.settle_open_batches

    def settled(ledger: JobLedger, queue: JobQueue, room: Path) -> None:
        happens()
        settle(ledger, queue, room)

    patch.setattr(submission, "settle_open_batches", settled)


@contextmanager
def left_at_the_first_pause() -> Iterator[None]:
    """Press Ctrl-C as soon as the launcher watches its jobs."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        while_it_watches(patch, interrupt)
        yield
