"""Runs one command and ends it, with everything it started, as soon as the parent lets go.

    python -I -S lifeline.py GRACE_S COMMAND [ARGUMENT …]

Standard input is a pipe that only the parent holds. When something is written to it or it closes, because the
parent asked for the end or because it died, even by SIGKILL, the command gets SIGTERM, and after a grace period
whatever is left of its descendants gets SIGKILL. Processes that left the group or lost their parent are found too:
this process is their subreaper. It ends as the command ended: with its status, or by its signal.

Standard library only: it runs by its path, in any interpreter, without site packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_KILL_PATIENCE_S = 5.0
_CANNOT_START = 127


def descendants(pid: int) -> list[int]:
    """Return the living processes below `pid`, according to /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = _living_parent(int(entry.name))
            if parent is not None:
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    above = [pid]
    while above:
        below = children.get(above.pop(), [])
        found += below
        above += below
    return found


def _living_parent(pid: int) -> int | None:
    """Return the parent of a process; None for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return None if state == "Z" else int(parent)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the pipe alone has to do
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Let the kernel end this process when the one that started it has ended."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _ignore(number: int, frame: object) -> None:
    """Do nothing. Unlike `SIG_IGN`, a handler is not inherited by the command."""


def _signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


class _Watch:
    """The command as a child, and the two things that may happen to it: it ends, or the parent lets go."""

    def __init__(self, command: list[str]) -> None:
        self._wakeup, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, close_fds=False
        )
        self.status: int | None = None

    def reap(self) -> None:
        """Collect the processes that have ended, orphans of the command included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.child.pid:
                self.status = os.waitstatus_to_exitcode(status)

    def until_end_or_release(self) -> None:
        while self.status is None:
            ready, _, _ = select.select([self._wakeup, sys.stdin.fileno()], [], [])
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self.reap()
            else:
                return

    def end(self, grace_s: float) -> None:
        """Ask the command to end, give it time, then kill what is left of it."""
        deadline = time.monotonic() + grace_s
        if self.status is None:
            _signal_all([self.child.pid], signal.SIGTERM)
        while self.status is None and time.monotonic() < deadline:
            select.select([self._wakeup], [], [], max(0.0, min(0.2, deadline - time.monotonic())))
            self.reap()
        deadline = time.monotonic() + _KILL_PATIENCE_S
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            _signal_all(left, signal.SIGKILL)
            time.sleep(0.01)
            self.reap()
        self.reap()


def _end_like(status: int) -> None:
    """End with the command's status, or by the signal that ended it."""
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def main() -> None:
    """Run the command named by the arguments."""
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _ignore)  # the parent ends us by the pipe, and no other way
    try:
        watch = _Watch(command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(_CANNOT_START)
    watch.until_end_or_release()
    watch.end(grace_s)
    _end_like(watch.status if watch.status is not None else -signal.SIGKILL)


if __name__ == "__main__":
    main()
