"""A process that can't outlive us: started, watched, ended with everything it started, whatever happens.

`framework.processes.lifeline` runs between us and it, and ends it when we let go of a pipe: on purpose, or by dying.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.processes import lifeline

_LIFELINE_OVERHEAD_S = 10.0
_LOG_BYTES = 1_000_000
_POLL_S = 0.02


@dataclass(frozen=True)
class ProcessUsage:
    """What a command and its descendants used.

    Attributes:
        cpu_s: user and system time of all of them since the start, ended ones included.
        rss_bytes: resident memory of those alive; pages that they share count for each.
    """

    cpu_s: float
    rss_bytes: int


class ChildProcess:
    """One command with its descendants.

    Attributes:
        log: file that standard output and standard error are appended to.
        grace_s: time between the polite signal (SIGTERM) and the kill.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str | None] | None = None,
        folder: Path | None = None,
        grace_s: float = 10.0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the command.

        Args:
            environment: added to ours; None takes a variable away.
            folder: working folder; None: ours.
            pass_fds: descriptors that the command inherits.

        Raises:
            OSError: the interpreter or the log can't be opened. A command that isn't there ends with status 127.
        """
        self.log = log
        self.grace_s = grace_s
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", lifeline.__file__, str(grace_s), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(environment or {}),
                cwd=folder,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        self._usage_at_end: ProcessUsage | None = None

    @property
    def status(self) -> int | None:
        """Exit status of the command, negative for the signal that ended it; None while it runs."""
        if self._guard.returncode is None and self._ended():
            self._usage_at_end = self._usage_now()  # the kernel forgets it when the guard is reaped
        return self._guard.poll()

    def _ended(self) -> bool:
        with contextlib.suppress(ChildProcessError):  # another thread was faster
            return os.waitid(os.P_PID, self._guard.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    @property
    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""
        status = self.status
        if status is None:
            return None
        if status < 0:
            known = -status in set(signal.Signals)
            return f"was ended by {signal.Signals(-status).name if known else f'signal {-status}'}"
        return f"ended with status {status}"

    def pids(self) -> list[int]:
        """Return its living processes, the guard left out."""
        return [] if self.status is not None else lifeline.descendants(self._guard.pid)

    def usage(self) -> ProcessUsage:
        """Return what its processes used until now, or until its end."""
        if self.status is None:
            return self._usage_now()
        return self._usage_at_end or ProcessUsage(0.0, 0)

    def _usage_now(self) -> ProcessUsage:
        """Add up the processes: the guard adopts orphans, so whoever has ended counts as a child of one of them."""
        import psutil

        cpu_s, rss_bytes = 0.0, 0
        with contextlib.suppress(psutil.Error):
            guard = psutil.Process(self._guard.pid)
            times = guard.cpu_times()
            cpu_s = times.children_user + times.children_system
            for process in guard.children(recursive=True):
                with contextlib.suppress(psutil.Error), process.oneshot():
                    cpu_s += sum(
                        process.cpu_times()[:4]
                    )  # its own, and that of its children which have ended
                    rss_bytes += process.memory_info().rss
        return ProcessUsage(cpu_s, rss_bytes)

    def log_text(self, from_byte: int = 0) -> str:
        """Return its log from a byte on; of a long one only the end."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(from_byte, os.fstat(file.fileno()).st_size - _LOG_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def end(self) -> int:
        """End it and everything it started, politely first; return its exit status. Safe to call twice."""
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            with contextlib.suppress(OSError):
                self._guard.stdin.write(
                    b"\n"
                )  # a process that was forked meanwhile may hold a copy of the pipe
                self._guard.stdin.close()
        status = self.wait(self.grace_s + _LIFELINE_OVERHEAD_S)
        if status is not None:
            return status
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        return self._guard.wait()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for it to end by itself; return its exit status, or None if it still runs then."""
        deadline = time.monotonic() + timeout_s
        while (status := self.status) is None and (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(_POLL_S, left_s))
        return status


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}
