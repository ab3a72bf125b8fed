"""Why an engine's run failed; the class is the kind that the store keeps."""

from __future__ import annotations

from framework.errors import UserError
from framework_hadoop.engines.jvm import Ended, cause_of_failure


class EngineFailedError(UserError):
    """The engine ended by itself without doing its work."""


class EngineTimeoutError(EngineFailedError):
    """The engine was ended because it took too long."""


class HeapExhaustedError(EngineFailedError):
    """The JVM ran out of memory."""


class EngineKilledError(EngineFailedError):
    """Another process or a person ended the engine by a signal."""


_KINDS = {
    "failed": EngineFailedError,
    "timeout": EngineTimeoutError,
    "out_of_memory": HeapExhaustedError,
    "killed": EngineKilledError,
}


def failure_of(ended: Ended, log: str, timeout_s: float, heap: str, doing: str) -> EngineFailedError:
    """Return the error that says why a process failed, and at what."""
    kind, text = cause_of_failure(ended, log, timeout_s, heap)
    return _KINDS[kind](f"{doing}: {text}")
