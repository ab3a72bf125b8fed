"""NVIDIA MPS for the engines of one run: a control daemon of its own, ended with the run."""

from __future__ import annotations

import shutil
from pathlib import Path

from framework.errors import ConfigError
from framework.processes.child_process import ChildProcess
from framework_vllm.server.start_failures import EngineStartError

PROGRAM = "nvidia-cuda-mps-control"
_GRACE_S = 10.0
_START_S = 1.0


def require_program() -> str:
    """Return the path of the control program. Raises `ConfigError` if it is not installed."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise ConfigError(
            f"backend.mps: {PROGRAM} is not installed; backend.mps=false shares the GPU by time slicing"
        )
    return found


class MpsDaemon:
    """The control daemon in the foreground of a guarded child, with its own pipe directory.

    Engines with `environment` are its clients; those of other runs and users on the machine are not.
    """

    def __init__(self, devices: tuple[str, ...], scratch: Path) -> None:
        """Start it for these GPUs. Raises `EngineStartError` if it ends at once."""
        folder = scratch / "mps"
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
        own = {**self.environment, "CUDA_VISIBLE_DEVICES": ",".join(devices)}
        log = scratch / "mps.log"
        self._child = ChildProcess([require_program(), "-f"], log, own, grace_s=_GRACE_S)
        if self._child.wait(_START_S) is not None:
            said = self._child.log_text().strip().splitlines()
            raise EngineStartError(
                f"{PROGRAM} {self._child.ending}: {said[-1] if said else 'it wrote no log'}"
            )

    def end(self) -> None:
        """End it with its servers."""
        self._child.end()
