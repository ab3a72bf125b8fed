"""Stages of a run, and what is kept of one that failed: stage, exception, ends of the logs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework.errors import StoreError, TimeLimitError, UserError, one_line
from framework.processes.end_signals import not_lost, raise_if_ended
from framework.run_record import Failure

_LOG_TAIL_LINES = 40
_TRACEBACK_PARTS = 8
_NO_MEMORY = (
    "Cannot allocate memory",
    "failed to map segment",
)  # the kernel's words, and the loader's of libraries


class StageError(Exception):
    """Carries which stage of the run failed; the cause is the original exception."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


@contextmanager
def stage(name: str, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn whatever the body raises into a `StageError`; `passing`, Ctrl-C goes through as it is."""
    try:
        with not_lost():
            yield
        raise_if_ended()
    except (KeyboardInterrupt, StageError):
        raise
    except passing:
        raise
    except BaseException as error:
        raise StageError(name) from _uncovered(error)


def _uncovered(error: BaseException) -> BaseException:
    """Return the time limit that an error came of, or the error: the limit is raised anywhere, as a signal is."""
    within: BaseException | None = error
    while within is not None and not isinstance(within, TimeLimitError):
        within = within.__context__
    return within or error


def failure_of(error: StageError, scratch: Path | None) -> Failure:
    """Return what the store keeps of a failed stage; `*.log` files of the scratch folder are read for it."""
    cause = error.__cause__
    assert cause is not None
    if os.environ.get("FRAMEWORK_DEBUG") == "1":
        traceback.print_exception(cause, file=sys.stderr)
    return Failure(error.stage, failure_kind(cause), one_line(cause), _log_tail(cause, scratch))


def failure_kind(error: BaseException) -> str:
    """Return what kind of failure an exception is: its class, unless it knows better (`TimeLimitError`)."""
    if _is_refused_memory(error) or (isinstance(error, StoreError) and _is_refused_memory(error.__cause__)):
        return "out_of_memory"  # as queues call it
    return str(getattr(error, "failure_kind", type(error).__name__))


def _is_refused_memory(error: BaseException | None) -> bool:
    said = isinstance(error, OSError | ImportError) and any(words in str(error) for words in _NO_MEMORY)
    return said or isinstance(error, MemoryError)


def _log_tail(cause: BaseException, scratch: Path | None) -> str:
    """Return the ends of the logs a backend left in its scratch folder, then the end of the traceback."""
    parts = []
    for log in sorted(scratch.rglob("*.log")) if scratch is not None else ():
        lines = log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        parts.append("\n".join([f"== {log.name}", *lines]))
    if not isinstance(cause, UserError):
        parts.append("".join(traceback.format_exception(cause)[-_TRACEBACK_PARTS:]))
    return "\n".join(parts)
