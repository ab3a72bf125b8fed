"""CPU time of a process and everything that it starts, counted by the kernel (perf event `task-clock`).

Unlike sampled process times, it misses no process: a child that lives between two samples counts too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

from framework_metrics.sampling.probe import UnavailableError

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
FIX = "sudo sysctl kernel.perf_event_paranoid=1"
SYSCALL = {"x86_64": 298, "aarch64": 241}
_TYPE_SOFTWARE, _COUNT_TASK_CLOCK = 1, 1
_ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0, which every kernel takes
_INHERIT = 1 << 1
_EXCLUDE_KERNEL = 1 << 5


class TaskClock:
    """Counts from its creation on. One event a thread of the process; threads and children to come inherit it.

    Raises:
        UnavailableError: the kernel does not allow it; says what would.
    """

    def __init__(self, pid: int) -> None:
        self._events: list[int] = []
        try:
            threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
        except OSError as error:
            raise UnavailableError(f"process {pid}: {error.strerror}") from None
        try:
            self._events = [_open(thread) for thread in threads]
        except UnavailableError:
            self.close()
            raise

    def read_s(self) -> float:
        """Return CPU seconds so far."""
        total_ns = sum(struct.unpack("q", os.read(event, 8))[0] for event in self._events)
        return 1e-9 * float(total_ns)

    def close(self) -> None:
        """Stop counting."""
        for event in self._events:
            os.close(event)
        self._events.clear()


def _open(thread: int) -> int:
    """Return an event of one thread; with the kernel's own time left out where the kernel insists on it."""
    number = SYSCALL.get(platform.machine())
    if number is None:
        raise UnavailableError(f"perf events are not read on {platform.machine()}")
    library = ctypes.CDLL(None, use_errno=True)
    code = 0
    for flags in (_INHERIT, _INHERIT | _EXCLUDE_KERNEL):
        # struct perf_event_attr: type, size, config, period, sample type, read format, flags
        attribute = ctypes.create_string_buffer(
            struct.pack("IIQQQQQ", _TYPE_SOFTWARE, _ATTRIBUTE_BYTES, _COUNT_TASK_CLOCK, 0, 0, 0, flags).ljust(
                _ATTRIBUTE_BYTES, b"\0"
            ),
            _ATTRIBUTE_BYTES,
        )
        event = int(library.syscall(number, attribute, thread, -1, -1, ctypes.c_ulong(0)))
        if event >= 0:
            return event
        code = ctypes.get_errno()
    if code in (errno.EACCES, errno.EPERM):
        level = PARANOID.read_text().strip() if PARANOID.exists() else "?"
        raise UnavailableError(f"perf events are not allowed here (perf_event_paranoid is {level}: {FIX})")
    raise UnavailableError(f"perf event task-clock: {os.strerror(code)}")
