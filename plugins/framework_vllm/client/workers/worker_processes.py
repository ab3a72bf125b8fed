"""A client process as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from multiprocessing.connection import wait

from framework_vllm.client.load_contracts import LoadError

_END_WITHIN_S = 5.0


class ClientProcess:
    """Starts `framework_vllm.client.workers.load_process` and talks to it over a pipe.

    A process of its own keeps the event loop apart from whatever else this interpreter does (a scraper's threads,
    a progress bar); it holds no more than it is told and ends when the pipe closes.

    Args:
        board_fd: descriptor of the shared board, which it inherits.
    """

    def __init__(self, board_fd: int) -> None:
        self._pipe, theirs = Pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "framework_vllm.client.workers.load_process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), board_fd),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=environment,
            )
        finally:
            theirs.close()

    def send(self, message: object) -> None:
        """Tell it something; raises `LoadError` with its last words alone if it has gone."""
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
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_WITHIN_S)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
        return f"{how}: {lines[-1]}" if lines else how
