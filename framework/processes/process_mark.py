"""What tells one process of this machine from all others, whatever is done to the clock."""

from __future__ import annotations

from pathlib import Path


def process_mark(pid: int) -> str | None:
    """Return a text that no other process has, before or after; None if this one does not live (a zombie does not).

    The kernel counts a process's start in ticks since it booted. Times of day would not do: they move for processes
    that live when the clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _by_time(pid)
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


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
