"""One engine on this machine: started, waited for, watched, ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.processes.child_process import ChildProcess
from framework_vllm.engine.environment import socket_folder
from framework_vllm.server.http_get import NoAnswerError, get
from framework_vllm.server.port import HeldPort
from framework_vllm.server.start_failures import (
    EngineDiedError,
    EngineStartTimeoutError,
    death,
    last_line,
    start_failure,
)

HOST = "127.0.0.1"
_POLL_S = 0.2
_HEALTH_TIMEOUT_S = 2.0
_STEPS = (
    ("Application startup complete", "ready"),
    ("Starting vLLM server", "opening its port"),
    ("apturing CUDA graph", "capturing CUDA graphs"),
    ("KV cache size", "setting up the KV cache"),
    ("torch.compile", "compiling"),
    ("Loading weights took", "weights loaded"),
    ("checkpoint shards", "loading weights"),
    ("Starting to load model", "loading weights"),
    ("version", "importing"),
)
"""What a line of the log says about how far the start is, latest first."""


@dataclass(frozen=True)
class EngineCommand:
    """How to start one engine.

    Attributes:
        words: the command for a port.
        environment: added to ours.
    """

    words: Callable[[int], list[str]]
    environment: Mapping[str, str | None]


class EngineServer:
    """A running engine.

    Attributes:
        name: for messages and for its log (`engine-0`).
        url: where it listens.
        log: its output.
    """

    def __init__(self, name: str, command: EngineCommand, port: HeldPort, log: Path, grace_s: float) -> None:
        """Start it on a held port; it is not ready yet. The server owns the port from here on."""
        self.name = name
        self.url = f"http://{HOST}:{port.number}"
        self.log = log
        self._port = port
        self._ready_at_byte = 0
        words = command.words(port.number)
        environment = {**socket_folder(log.parent), **command.environment}
        self._child = ChildProcess(words, log, environment, grace_s=grace_s)
        self._started = time.monotonic()

    def wait_ready(self, timeout_s: float, progress: Callable[[str], None]) -> float:
        """Wait until it answers on /health; return the seconds since its start.

        Raises:
            EngineStartError: it ended before, with the cause from its log.
            EngineStartTimeoutError: it was not ready in time.
        """
        while True:
            ending = self._child.ending
            if ending is not None:
                raise start_failure(ending, self._child.log_text())
            waited = time.monotonic() - self._started
            if self._healthy():
                self._ready_at_byte = self.log.stat().st_size
                return waited
            if waited > timeout_s:
                said = last_line(self._child.log_text())
                raise EngineStartTimeoutError(
                    f"{self.name} was not ready after {timeout_s:g} s (backend.start_timeout_s); its "
                    f"last log line: {said}"
                )
            progress(f"{start_step(self._child.log_text())}, {waited:.0f} s")
            time.sleep(_POLL_S)

    def _healthy(self) -> bool:
        try:
            get(self.url, "/health", _HEALTH_TIMEOUT_S)
        except NoAnswerError:
            return False
        return True

    def failure(self) -> EngineDiedError | None:
        """Return why it is not running any more; None while it is."""
        ending = self._child.ending
        if ending is None:
            return None
        return death(self.name, ending, self._child.log_text(self._ready_at_byte))

    def pids(self) -> list[int]:
        """Return its processes."""
        return self._child.pids()

    def log_text(self) -> str:
        """Return what it wrote so far."""
        return self._child.log_text()

    def end(self) -> None:
        """End it and give the port back."""
        try:
            self._child.end()
        finally:
            self._port.release()


def start_step(log: str) -> str:
    """Return in a few words how far an engine's start is."""
    for phrase, step in _STEPS:
        found = log.rfind(phrase)
        if found >= 0:
            share = re.findall(r"shards:\s+(\d+)%", log[found - 40 :]) if step == "loading weights" else []
            return f"{step} {share[-1]} %" if share else step
    return "starting"
