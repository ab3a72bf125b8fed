"""Something carried out in a copy of this process: it begins warm, and what ends the copy ends nothing else.

What the copy had to import is imported here when it has ended, so that the next one begins with it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from framework.errors import TimeLimitError
from framework.processes.lifeline import die_with_parent

OVERDUE = "overdue"


def in_warm_copy(carry: Callable[[], None], limit_s: float) -> str | None:
    """Carry something out in a copy of this process, and wait for its end; the copy dies with this process.

    A `TimeLimitError` that a SIGUSR2 raises here is the copy's affair: the signal is handed on.

    Args:
        carry: what to do.
        limit_s: the copy ends within this time by itself, seconds; one that does not is killed.

    Returns:
        None when it ended in order; otherwise the signal that ended it (`SIGKILL`), its exit status (`status 1`), or
        `OVERDUE`.
    """
    from multiprocessing import get_context

    with tempfile.TemporaryFile("w+") as imported:
        copy = get_context("fork").Process(target=_carried_out, args=(carry, os.getpid(), imported))
        copy.start()
        assert copy.pid is not None
        until_s = time.monotonic() + limit_s
        try:
            waiting = True
            while waiting:
                try:
                    while copy.is_alive() and (left_s := until_s - time.monotonic()) > 0:
                        copy.join(left_s)
                    waiting = False
                except TimeLimitError:
                    os.kill(copy.pid, signal.SIGUSR2)
        finally:
            overdue = copy.is_alive()
            copy.kill()
            copy.join()
        imported.seek(0)
        for name in imported.read().split():
            with suppress(Exception):  # a module that only its package can import
                importlib.import_module(name)
    status = copy.exitcode
    if overdue or not status:
        return OVERDUE if overdue else None
    return signal.Signals(-status).name if status < 0 else f"status {status}"


def _carried_out(carry: Callable[[], None], parent: int, imported: IO[str]) -> None:
    die_with_parent()
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)
    before = set(sys.modules)
    carry()
    imported.write("\n".join(name for name in list(sys.modules) if name not in before))
    imported.flush()
