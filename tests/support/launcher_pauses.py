"""Something happens whenever a launcher pauses between two looks at its jobs.

Only the launcher's own clock is replaced: others sleep too, a `subprocess` that waits for its end among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from framework.jobs import submission


def while_it_watches(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Call `happens` instead of each pause."""
    names = ("time", "monotonic", "strftime", "gmtime")
    clock = SimpleNamespace(**{name: getattr(time, name) for name in names})
    clock.sleep = lambda seconds: happens()
    patch.setattr(submission, "time", clock)


@contextmanager
def left_at_the_first_pause() -> Iterator[None]:
    """Press Ctrl-C as soon as the launcher watches its jobs."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        while_it_watches(patch, interrupt)
        yield
