"""One JVM as a child process: watched, sampled, ended with everything it started, and why it failed."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framework.processes.child_process import ChildProcess, ProcessUsage

_GRACE_S = 5.0
_EXIT_ON_OUT_OF_MEMORY = 3  # of HotSpot's -XX:+ExitOnOutOfMemoryError
_CAUSE = re.compile(r"(?:^|\s)(?:[a-z][\w]*\.)+([A-Z]\w*(?:Exception|Error))\b(?::\s*(.*))?")


@dataclass
class Usage:
    """What a JVM and its descendants used over time.

    Attributes:
        cpu_s: user + system time of all of them.
        rss_peak_bytes: largest sum of their resident memory.
        samples: (seconds since the epoch, CPU seconds so far, resident bytes).
    """

    cpu_s: float = 0.0
    rss_peak_bytes: int = 0
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    def add(self, seen: ProcessUsage) -> None:
        """Take in what was seen just now."""
        self.cpu_s = max(self.cpu_s, seen.cpu_s)
        self.rss_peak_bytes = max(self.rss_peak_bytes, seen.rss_bytes)
        self.samples.append((time.time(), self.cpu_s, seen.rss_bytes))


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: exit status; negative: the signal that ended it.
        wall_s: seconds from its start to its end.
        timed_out: it was ended because it took too long.
    """

    status: int
    wall_s: float
    timed_out: bool
    usage: Usage


def run_jvm(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    timeout_s: float,
    sample_interval_s: float,
) -> Ended:
    """Run a command to its end; its output goes to the log.

    Args:
        environment: added to ours.
        timeout_s: after so long it is ended with all its descendants.
    """
    started, usage, timed_out = time.monotonic(), Usage(), False
    child = ChildProcess(command, log, environment, grace_s=_GRACE_S)
    try:
        while not timed_out and child.wait(sample_interval_s) is None:
            usage.add(child.usage())
            timed_out = time.monotonic() - started > timeout_s
    finally:
        status = child.end()
    usage.add(child.usage())
    return Ended(status, time.monotonic() - started, timed_out, usage)


def cause_of_failure(ended: Ended, log: str, timeout_s: float, heap: str) -> tuple[str, str]:
    """Return (kind, one line) on why a JVM did not end well.

    Args:
        log: what it and its engine wrote.
        heap: how the heap was set, for the message (`backend.heap_mb=64`).
    """
    if ended.timed_out:
        return (
            "timeout",
            f"not finished after {timeout_s:g} s (backend.timeout_s): ended with all its processes",
        )
    exhausted = "java.lang.OutOfMemoryError" in log
    if exhausted or ended.status == _EXIT_ON_OUT_OF_MEMORY:
        match = re.search(r"java\.lang\.OutOfMemoryError: ([^\n]+)", log)
        return (
            "out_of_memory",
            f"the JVM ran out of memory ({heap}): {match[1].strip() if match else 'no detail'}",
        )
    if ended.status < 0:
        name = signal.Signals(-ended.status).name
        return (
            "killed",
            f"the JVM was killed by {name}, but not by the framework: probably by the kernel's out-of-memory killer",
        )
    return "failed", f"the JVM ended with status {ended.status}: {root_cause(log) or _last_line(log)}"


def root_cause(log: str) -> str | None:
    """Return the first exception that a log's last stack trace is caused by, as `Name: message`."""
    found = None
    for line in log.splitlines():
        match = _CAUSE.search(line)
        if match and not line.lstrip().startswith("at "):
            found = f"{match[1]}: {match[2].strip()}" if match[2] else match[1]
    return found


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it wrote no log"
