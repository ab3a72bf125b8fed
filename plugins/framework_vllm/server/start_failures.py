"""Why an engine failed, read from its log; the class of the error is the kind that the store keeps."""

from __future__ import annotations

import re

from framework.errors import UserError


class EngineFailedError(UserError):
    """The engine, or the load on it, failed."""


class EngineStartError(EngineFailedError):
    """The engine did not get ready."""


class EngineStartTimeoutError(EngineStartError):
    """The engine did not get ready in time."""


class EngineOutOfMemoryError(EngineStartError):
    """The engine's weights or its KV cache don't fit."""


class EnginePortError(EngineStartError):
    """The engine could not have its port."""


class EngineDiedError(EngineFailedError):
    """The engine ended in the middle of a run."""


class LoadFailedError(EngineFailedError):
    """Too many requests failed for the run to mean anything."""


_PREFIX = re.compile(
    r"^(?:\([^)]*pid=\d+\)\s*)?(?:(?:ERROR|CRITICAL|WARNING|INFO)\s+[\d-]+ [\d:]+\s*\[[^\]]*\]\s*)?"
)
_EXCEPTION = re.compile(r"^(?:[a-zA-Z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)\b(?:: .*)?$")
_SECONDARY = ("See root cause above", "initialization failed", "died unexpectedly", "EngineDeadError")
_VALIDATION = re.compile(r"ValidationError: \d+ validation error")
_ARGUMENT = re.compile(r"^\S+\.py: error: (.*)$")
_MEMORY = re.compile(
    r"out of memory|No available memory for the cache|less than (?:desired GPU memory|requested memory)"
    r"|larger than the (?:available KV cache memory|maximum number of tokens)|Cannot allocate memory|MemoryError",
    re.IGNORECASE,
)
_PORT = re.compile(r"address already in use|Errno 98", re.IGNORECASE)


def root_cause(log: str) -> str | None:
    """Return the exception behind a failed engine as one line, or what its argument parser said.

    An engine is several processes, each of which logs that the one below failed; the first exception that
    does not merely say so is the cause. An exception while handling another is passed over in the same way, because
    the first came first.
    """
    fallback = None
    lines = log.splitlines()
    for place, line in enumerate(lines):
        text = _PREFIX.sub("", line).strip()
        argument = _ARGUMENT.match(text)
        if argument:
            return argument[1]
        if not _EXCEPTION.match(text):
            continue
        if any(phrase in text for phrase in _SECONDARY):
            fallback = fallback or text
            continue
        return _validation_detail(lines, place) or text
    return fallback


def _validation_detail(lines: list[str], place: int) -> str | None:
    """Return what pydantic says in the line below its exception: the engine's own message."""
    if not _VALIDATION.search(lines[place]) or place + 1 >= len(lines):
        return None
    detail = _PREFIX.sub("", lines[place + 1]).strip().removeprefix("Value error, ")
    return detail.partition(" [type=")[0]


def last_line(log: str) -> str:
    """Return the last line that says anything."""
    lines = [_PREFIX.sub("", line).strip() for line in log.splitlines()]
    spoken = [line for line in lines if line]
    return spoken[-1] if spoken else "it wrote no log"


def start_failure(ending: str, log: str) -> EngineStartError:
    """Return why an engine that ended before it was ready did so.

    Args:
        ending: how it ended (`ended with status 1`).
        log: what it wrote.
    """
    cause = root_cause(log)
    if cause is None and "SIGKILL" in ending:
        return EngineOutOfMemoryError(
            f"the engine {ending}, but not by the framework: probably by the kernel's out-of-memory killer"
        )
    text = f"the engine {ending} before it was ready: {cause or last_line(log)}"
    if _PORT.search(cause or ""):
        return EnginePortError(text)
    return (EngineOutOfMemoryError if _MEMORY.search(cause or "") else EngineStartError)(text)


def death(name: str, ending: str, log: str) -> EngineDiedError:
    """Return why an engine ended in the middle of a run.

    Args:
        name: of the server.
        log: what it wrote since it was ready.
    """
    cause = root_cause(log)
    return EngineDiedError(f"{name} {ending} in the middle of the run" + (f": {cause}" if cause else ""))
