"""Who else is on the GPU: processes that do not belong to the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework_metrics.nvml.devices import Device
from framework_metrics.nvml.driver_calls import asked

PROC = Path("/proc")
MPS_DAEMON = "nvidia-cuda-mps"  # its server owns the contexts of all its clients


@dataclass(frozen=True)
class Neighbour:
    """A process on a GPU of the run that is not a descendant of it.

    Attributes:
        memory_mib: of the GPU's memory; None where the driver does not say.
        from_start: it was there when the run began.
    """

    device: str
    pid: int
    name: str
    memory_mib: float | None
    from_start: bool


def neighbours(library: Any, device: Device, run_pid: int, from_start: bool) -> list[Neighbour]:
    """Return the foreign processes on a device. Raises `UnavailableError` if NVML does not list processes."""
    found = []
    for process in asked(library.nvmlDeviceGetComputeRunningProcesses, device.handle):
        name = process_name(process.pid)
        if name is None and not from_start:
            continue  # in a container NVML reports pids of the host: it may be the run's own server
        if descends_from(process.pid, run_pid) or (name or "").startswith(MPS_DAEMON):
            continue
        memory = None if process.usedGpuMemory is None else process.usedGpuMemory / 2**20
        found.append(Neighbour(device.label, process.pid, name or "?", memory, from_start))
    return found


def process_name(pid: int, proc: Path = PROC) -> str | None:
    """Return the short name of a process; None if it can't be seen (another container, or gone)."""
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return None


def descends_from(pid: int, ancestor: int, parent_of: Callable[[int], int | None] | None = None) -> bool:
    """Return whether `ancestor` is the process itself or one above it."""
    parent_of = parent_of or parent
    seen: set[int] = set()
    current: int | None = pid
    while current and current not in seen:
        if current == ancestor:
            return True
        seen.add(current)
        current = parent_of(current)
    return False


def parent(pid: int, proc: Path = PROC) -> int | None:
    """Return the parent's pid; None if the process can't be seen."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return int(fields[1])
