"""A process that can't outlive us: started, watched, ended with everything it started, whatever happens.

`framework.lifeline` runs between us and it, and ends it when we let go of a pipe: on purpose, or by dying.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from framework import lifeline

_LIFELINE_OVERHEAD_S = 10.0
_LOG_BYTES = 1_000_000


class ChildProcess:
    """One command with its descendants.

    Attributes:
        log: file that standard output and standard error are appended to.
        grace_s: time between the polite signal and the kill.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str | None] | None = None,
        folder: Path | None = None,
        grace_s: float = 10.0,
    ) -> None:
        """Start the command.

        Args:
            environment: added to ours; None takes a variable away.
            folder: working folder; None: ours.

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
            )

    @property
    def status(self) -> int | None:
        """Exit status of the command, negative for the signal that ended it; None while it runs."""
        return self._guard.poll()

    @property
    def ending(self) -> str | None:
        """How it ended, in words; None while it runs."""
        status = self.status
        if status is None:
            return None
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def pids(self) -> list[int]:
        """Return its living processes, the guard left out."""
        return [] if self.status is not None else lifeline.descendants(self._guard.pid)

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
                self._guard.stdin.close()
        try:
            return self._guard.wait(self.grace_s + _LIFELINE_OVERHEAD_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            return self._guard.wait()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for it to end by itself; return its exit status, or None if it still runs then."""
        try:
            return self._guard.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return None


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}
