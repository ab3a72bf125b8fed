"""What tells one process of this machine from all others, and how old it is, whatever is done to the clock."""

from __future__ import annotations

import os
import time
from pathlib import Path


def process_mark(pid: int) -> str | None:
    """Return a text that no other process has, before or after; None if this one does not live (a zombie does not).

    The kernel counts a process's start in ticks since it booted. Times of day would not do: they move for processes
    that live when the clock is set.
    """
    try:
        state, ticks = _stat(pid)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _by_time(pid)
    return None if state in "ZX" else f"{boot} {ticks}"


def own_age_s() -> float | None:
    """Return how many seconds ago this process was started; None where the kernel does not say."""
    try:
        _, ticks = _stat(os.getpid())
    except OSError:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[str, int]:
    """Return a process's state, and its start in ticks since the boot."""
    stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return fields[0], int(fields[19])


def lives(pid: int, mark: str | None) -> bool:
    """Return whether the process of this number and mark lives on this machine."""
    return mark is not None and process_mark(pid) == mark


def _by_time(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return None if dead else f"{process.create_time():.0f}"
    except psutil.Error:
        return None
