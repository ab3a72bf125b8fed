"""A sampler seen from the run: started, stopped, and outlived whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from framework.errors import UserError
from framework_metrics.sampling.recording import Recording, read_recording
from framework_metrics.sampling.sampler import GRACE_S

START_LIMIT_S = 18.0
"""Time that a probe may take to open its sensors (a driver without persistence mode takes seconds)."""


END_LIMIT_S = GRACE_S + 1.0
"""Time that a sampler has to end; it ends itself after its grace."""


class SamplerError(UserError):
    """A sampler can't measure here; the text says why."""


@dataclass
class SamplerProcess:
    """One probe, read in a process of its own.

    Attributes:
        name: of the sampler, for its file.
        probe: `package.module:Class` of the probe.
        settings: its constructor's arguments (JSON values).
        period_s: between two readings.
        folder: where its file goes.
    """

    name: str
    probe: str
    settings: Mapping[str, Any]
    period_s: float
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start to sample; return when the first reading is under way.

        Raises:
            SamplerError: the probe can't read anything here, or did not answer in time.
        """
        spec = {
            "probe": self.probe,
            "settings": dict(self.settings),
            "period_s": self.period_s,
            "file": str(self._file),
        }
        source_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [source_root, os.environ.get("PYTHONPATH")]))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "framework_metrics.sampling.sampler", json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C ends the run first, and the run ends the sampler in order
            )
        answer = self._answer()
        if "ready" not in answer:
            self._end()
            raise SamplerError(answer["unavailable"])

    def stop(self) -> Recording:
        """End sampling and return what was seen, complete or not."""
        early = self._end()
        return read_recording(self._file, early)

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.samples.jsonl"

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.name}.sampler.log"

    def _answer(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        line = _line_within(process.stdout, START_LIMIT_S)
        if line is None:
            return {"unavailable": f"no answer from the sensors within {START_LIMIT_S:g} s"}
        try:
            answer = json.loads(line)
        except ValueError:
            process.wait(timeout=END_LIMIT_S)
            return {"unavailable": f"the sampler {_how_it_ended(process.returncode)}{self._last_words()}"}
        assert isinstance(answer, dict)
        return answer

    def _end(self) -> str | None:
        """End the process; return what was out of order about its end."""
        process, self._process = self._process, None
        if process is None:
            return "the sampler was not running"
        ended_before = process.poll()
        _tell_to_end(process)
        try:
            status = process.wait(timeout=END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()  # one that hangs inside the kernel dies when its call returns; nobody waits for it
            return "the sensors stopped answering"
        if status == 0:
            return None
        if ended_before is None and status == 3:
            return "the sensors stopped answering"
        return f"the sampler {_how_it_ended(status)}{self._last_words()}"

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return f": {lines[-1]}" if lines else ""


def _tell_to_end(process: subprocess.Popen[bytes]) -> None:
    """Write a byte and close: a copy of the pipe that some forked process holds then does not matter."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already
        process.stdin.write(b"\n")
        process.stdin.close()
    process.stdout.close()


def _line_within(pipe: IO[bytes], limit_s: float) -> bytes | None:
    """Return the next line of a pipe, empty at its end, None if none came in time."""
    deadline, found = time.monotonic() + limit_s, b""
    while not found.endswith(b"\n"):
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([pipe], [], [], left_s)[0]:
            return None
        part = os.read(pipe.fileno(), 65536)
        if not part:
            break
        found += part
    return found


def _how_it_ended(status: int | None) -> str:
    if status is not None and status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return f"ended with status {status}"
