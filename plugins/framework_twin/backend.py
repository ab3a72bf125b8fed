"""`backend=twin`: a model of the engine instead of the engine, with the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import BatchJob, Result, RunContext, WorkloadTables
from framework.errors import ConfigError, did_you_mean
from framework.versions import source_fingerprint
from framework_twin.settings import TwinSettings

if TYPE_CHECKING:
    from framework_twin.server import SimulatedServer


class TwinBackend:
    """Simulates vLLM's scheduler and KV cache under a physical step-time law; deterministic.

    Keys: see `TwinSettings`.
    """

    def __init__(self, **keys: Any) -> None:
        self._keys = keys
        self.settings = _settings(keys)

    def fingerprint(self) -> str:
        """Return a hash of the twin's code and profiles: its results change with them and nothing else."""
        return source_fingerprint(Path(__file__).parent)

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for what no server could start with, or no request could run on."""
        self._server(workload).check(workload)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Simulate the workload; see `SimulatedServer.serve`."""
        return self._server(workload).serve(workload)

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        """Simulate many configurations; yield (index, result) in order.

        A job's overrides are this backend's own keys (`max_num_seqs` or `backend.max_num_seqs`).
        """
        for index, job in enumerate(jobs):
            yield index, self._overridden(job.overrides).run(job.workload, _NO_CONTEXT)

    def _overridden(self, overrides: Mapping[str, Any]) -> TwinBackend:
        own = {key.removeprefix("backend."): value for key, value in overrides.items()}
        return TwinBackend(**{**self._keys, **own})

    def _server(self, workload: WorkloadTables) -> SimulatedServer:
        from framework_twin.server import SimulatedServer

        return SimulatedServer.start(self.settings, workload)


_NO_CONTEXT = RunContext("", {}, 0, Path())


def _settings(keys: Mapping[str, Any]) -> TwinSettings:
    known = TwinSettings.__dataclass_fields__.keys() - {"_target_"}
    for key in keys:
        if key not in known:
            raise ConfigError(f"unknown configuration key 'backend.{key}'{did_you_mean(key, known)}")
    settings = TwinSettings(**keys)
    settings.check()
    return settings
