"""One JVM as a child process: started, watched, ended with everything it started, whatever happens.

It leads a process group of its own, and its standard input is a pipe that only we hold: when we die, even by
SIGKILL, the program inside sees the end of its input and ends itself.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_GRACE_S = 5.0
_CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_EXIT_ON_OUT_OF_MEMORY = 3  # of HotSpot's -XX:+ExitOnOutOfMemoryError
_CAUSE = re.compile(r"(?:^|\s)(?:[a-z][\w]*\.)+([A-Z]\w*(?:Exception|Error))\b(?::\s*(.*))?")


@dataclass
class Usage:
    """What a process group used, sampled from /proc.

    Attributes:
        cpu_s: user + system time of the processes seen, until they were last seen.
        rss_peak_bytes: largest sum of resident memory over the group.
        samples: (seconds since the epoch, CPU seconds so far, resident bytes).
    """

    cpu_s: float = 0.0
    rss_peak_bytes: int = 0
    samples: list[tuple[float, float, int]] = field(default_factory=list)


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
    on_tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Run a command to its end; its output goes to the log.

    Args:
        environment: added to ours.
        timeout_s: after so long the whole process group is ended.
        on_tick: called at each sample, for progress.

    Raises:
        OSError: it could not be started.
    """
    started = time.monotonic()
    usage = Usage()
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, "FRAMEWORK_LIFELINE": "1"},
            start_new_session=True,
        )
    per_process: dict[int, float] = {}
    timed_out = False
    try:
        while not _ended_within(process, sample_interval_s):
            _sample(process.pid, per_process, usage)
            on_tick()
            timed_out = time.monotonic() - started > timeout_s
            if timed_out:
                break
        _sample(process.pid, per_process, usage)  # it has ended but is not reaped: its final CPU time
    finally:
        end_group(process)
    if process.stdin is not None:
        process.stdin.close()
    return Ended(process.returncode, time.monotonic() - started, timed_out, usage)


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end without reaping it, so that its last CPU time can still be read."""
    deadline = time.monotonic() + seconds
    while True:
        info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if info is not None:
            return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, 0.02))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of a process group: first politely, then for certain; reap its leader."""
    for number, patience_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _GRACE_S)):
        if _ended_within(process, 0) and not _others(process.pid):
            break
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and not (_ended_within(process, 0.05) and not _others(process.pid)):
            time.sleep(0.02)
    process.wait()


def _others(group: int) -> list[int]:
    """Return the living members of a process group but its leader."""
    return [pid for pid in _members(group) if pid != group]


def _members(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None and int(stat[2]) == group and stat[0] != "Z":
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on (proc(5), field 3 first); None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def _sample(group: int, per_process: dict[int, float], usage: Usage) -> None:
    resident = 0
    for pid in {group, *_members(group)}:
        stat = _stat(pid)
        if stat is None:
            continue
        per_process[pid] = (int(stat[11]) + int(stat[12])) / _CLOCK_TICKS_PER_S
        resident += max(0, int(stat[21])) * _PAGE_BYTES
    usage.cpu_s = sum(per_process.values())
    usage.rss_peak_bytes = max(usage.rss_peak_bytes, resident)
    usage.samples.append((time.time(), usage.cpu_s, resident))


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
