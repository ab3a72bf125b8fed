"""A sampler seen from the run: started, stopped, and outlived whatever happens to it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.errors import UserError
from framework.processes.child_process import ChildProcess
from framework_metrics.sampling.recording import Recording, read_recording

START_LIMIT_S = 18.0
"""Time that a probe may take to open its sensors (a driver without persistence mode takes seconds)."""

GRACE_S = 3.0
"""Time that a reading may take after the end was asked for; then the process is killed."""

_POLL_S = 0.005


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
    _child: ChildProcess | None = None

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
        command = [sys.executable, "-P", "-m", "framework_metrics.sampling.sampler", json.dumps(spec)]
        self._file.unlink(missing_ok=True)
        self._child = ChildProcess(command, self._log, {"PYTHONPATH": path}, grace_s=GRACE_S)
        refusal = self._refusal(self._child)
        if refusal is not None:
            self._end()
            raise SamplerError(refusal)

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

    def _refusal(self, child: ChildProcess) -> str | None:
        """Wait for the first line of the sampler's file; return why it can't measure here, or None if it can."""
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            ending = child.ending  # asked first: what it wrote before its end is in the file then
            line, whole, _ = self._text().partition("\n")
            if whole:
                reason: str | None = json.loads(line).get("unavailable")
                return reason
            if ending is not None:
                return f"the sampler {ending}{self._last_words()}"
            if time.monotonic() > deadline:
                return f"no answer from the sensors within {START_LIMIT_S:g} s"
            time.sleep(_POLL_S)

    def _text(self) -> str:
        return self._file.read_text(encoding="utf-8") if self._file.exists() else ""

    def _end(self) -> str | None:
        """End the process; return what was out of order about its end."""
        child, self._child = self._child, None
        if child is None:
            return "the sampler was not running"
        ran = child.status is None
        status = child.end()
        if status == 0:
            return None
        if ran and status == -signal.SIGKILL:
            return "the sensors stopped answering"
        return f"the sampler {child.ending}{self._last_words()}"

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return f": {lines[-1]}" if lines else ""
