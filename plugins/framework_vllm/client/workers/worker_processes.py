"""A client process as its parent sees it."""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

from framework.processes.child_process import ChildProcess
from framework_vllm.client.load_contracts import LoadError

_END_WITHIN_S = 5.0


class ClientProcess:
    """Starts `framework_vllm.client.workers.load_process` and talks to it over a pipe.

    A process of its own keeps the event loop apart from whatever else this interpreter does (a scraper's threads,
    a progress bar); it keeps only what it was given and ends when the pipe closes.

    Args:
        board_fd: descriptor of the shared board, which it inherits.
    """

    def __init__(self, board_fd: int) -> None:
        self._pipe, theirs = Pipe()
        self._folder = tempfile.TemporaryDirectory(prefix="load-client-")
        path = os.pathsep.join(path for path in sys.path if path)
        try:
            self._child = ChildProcess(
                [sys.executable, "-m", "framework_vllm.client.workers.load_process", str(theirs.fileno())],
                Path(self._folder.name) / "client.log",
                {"PYTHONPATH": path},
                grace_s=_END_WITHIN_S,
                pass_fds=(theirs.fileno(), board_fd),
            )
        finally:
            theirs.close()

    def send(self, message: object) -> None:
        """Send it a message; raises `LoadError` with its last words alone if it has gone."""
        try:
            self._pipe.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise LoadError(self._last_words()) from None

    def poll(self, timeout_s: float) -> bool:
        """Return whether it has something to say, or has ended."""
        return bool(wait([self._pipe], timeout_s))

    def receive(self) -> object:
        """Return what it says; raises `LoadError` with its last words alone if it has gone."""
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise LoadError(self._last_words()) from None

    def end(self) -> None:
        """See that it has ended, by force if need be."""
        self._pipe.close()
        self._child.end()
        self._folder.cleanup()

    def _last_words(self) -> str:
        status = self._child.wait(_END_WITHIN_S)
        lines = self._child.log_text().strip().splitlines()
        how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
        return f"{how}: {lines[-1]}" if lines else how
