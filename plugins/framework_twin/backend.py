"""`backend=twin`: a model of the engine instead of the engine, with the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import BatchJob, Result, RunContext, SanityCheck, WorkloadTables
from framework.identity.fingerprint import source_fingerprint
from framework.identity.run_key import canonical_hash
from framework_serving.engine_knobs import checked_settings
from framework_twin.settings import TwinSettings

if TYPE_CHECKING:
    from framework_twin.server import SimulatedServer


class TwinBackend:
    """Simulates vLLM's scheduler and KV cache under a physical step-time law; deterministic.

    Keys: see `TwinSettings`.
    """

    def __init__(self, **keys: Any) -> None:
        from framework_twin.kernel.compiled.machine_code import prepare

        self._keys = keys
        self.settings = checked_settings(TwinSettings, keys)
        self._started: tuple[WorkloadTables, SimulatedServer] | None = None
        prepare()

    def fingerprint(self) -> str:
        """Return a hash of the profile that this configuration takes, "" where it takes none."""
        from framework_twin.physics.physics_choice import choose_physics
        from framework_twin.server import described

        shape, gpu = described(self.settings)
        settings = self.settings.with_engine_defaults(shape, gpu, lora=False)
        profile = choose_physics(settings, shape, gpu)[1].profile
        return canonical_hash(asdict(profile)) if profile is not None else ""

    def sweep_fingerprint(self) -> str:
        """Return a hash of all profiles: which one a point takes depends on its model, GPU and engine."""
        from framework_twin.physics.profile import PROFILE_FOLDER

        folders = [
            PROFILE_FOLDER,
            *([Path(self.settings.profile_folder)] if self.settings.profile_folder else []),
        ]
        return canonical_hash([source_fingerprint(folder, (".yaml",)) for folder in folders])

    def check(self, workload: WorkloadTables) -> None:
        """Raise `ConfigError` for what no server could start with, or no request could run on."""
        self._server(workload).check(workload)

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Simulate the workload; see `simulation_result.serve`."""
        from framework_twin.simulation_result import serve

        return serve(self._server(workload), workload)

    def run_batch(self, jobs: Sequence[BatchJob]) -> Iterator[tuple[int, Result]]:
        """Simulate many configurations over all cores; yield (index, result) as they finish.

        A job's overrides are this backend's own keys (`max_num_seqs` or `backend.max_num_seqs`). A job that can't
        run gives a result without metrics, whose failed check says why.
        """
        from framework_twin.kernel.batch import Refusal, run_batch

        for item in run_batch(_run_job, [(self._keys, job) for job in jobs]):
            if isinstance(item.outcome, Refusal):
                yield item.index, Result(checks=[SanityCheck("refused", "fail", item.outcome.reason)])
            else:
                yield item.index, item.outcome

    def _server(self, workload: WorkloadTables) -> SimulatedServer:
        """Return the server for a workload; `check` and `run` ask for the same one."""
        from framework_twin.server import SimulatedServer

        if self._started is None or self._started[0] is not workload:
            self._started = workload, SimulatedServer.start(self.settings, workload)
        return self._started[1]


_NO_CONTEXT = RunContext("", {}, 0, Path())


def _run_job(work: tuple[Mapping[str, Any], BatchJob]) -> Result:
    keys, job = work
    own = {key.removeprefix("backend."): value for key, value in job.overrides.items()}
    return TwinBackend(**{**keys, **own}).run(job.workload, _NO_CONTEXT)
