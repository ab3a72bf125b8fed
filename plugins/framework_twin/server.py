"""A server that exists only as numbers: settings, memory and physics resolved, ready to serve a workload."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from framework.contracts import Json, WorkloadTables
from framework_serving.engine_defaults import slot_rank
from framework_serving.hardware.catalogue import described_gpu, described_model
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS, ModelShape
from framework_twin import translation
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, check_inputs
from framework_twin.kernel.output import SimulationOutput
from framework_twin.physics.engine_memory import EngineMemory, KvCapacity, kv_capacity
from framework_twin.physics.physics_choice import choose_physics
from framework_twin.physics.profile import StepModel
from framework_twin.settings import TwinSettings


@dataclass(frozen=True)
class SimulatedServer:
    """Everything a simulation needs besides the requests.

    Attributes:
        engine: the kernel's configuration of each replica.
        physics: step-time coefficients, load times and power, with the profile behind them.
        adapters: adapters with their load times.
        capacity: what the KV cache got of the memory; None where `kv_blocks` was set by hand.
    """

    settings: TwinSettings
    shape: ModelShape
    gpu: GpuSpec
    engine: EngineConfig
    physics: StepModel
    adapters: AdapterTable
    capacity: KvCapacity | None

    @classmethod
    def start(
        cls, settings: TwinSettings, workload: WorkloadTables, physics: StepModel | None = None
    ) -> SimulatedServer:
        """Resolve settings against model, GPU and the workload's adapters.

        `physics` replaces what the settings would choose; `engine` must name a generation then.

        Raises:
            ConfigError: such a server could not start; one line that names the key.
        """
        shape, gpu = described(settings)
        ranks = translation.adapter_ranks(workload)
        settings = settings.with_engine_defaults(shape, gpu, len(ranks) > 0 or bool(settings.max_loras))
        if physics is None:
            generation, physics = choose_physics(settings, shape, gpu)
        else:
            generation = settings.engine
        memory = engine_memory(settings, shape, generation, ranks, _request_tokens(workload))
        capacity = kv_capacity(shape, gpu, memory) if settings.kv_blocks is None else None
        engine = replace(
            _engine(settings, shape, generation, memory),
            **(capacity.in_blocks if capacity else {"kv_blocks": settings.kv_blocks}),
            touches_first=physics.touches_first,
            horizon_s=workload.facts.get("horizon_s"),
        )
        adapters = physics.loads.table(ranks.tolist(), memory.max_lora_rank)
        return cls(settings, shape, gpu, engine, physics, adapters, capacity)

    @property
    def front_end_s(self) -> float:
        """Time that a client waits in addition to the engine's time: as set, else as fitted."""
        stated = self.settings.front_end_s
        return self.physics.front_end_s if stated is None else stated

    def requests(self, workload: WorkloadTables) -> Requests:
        """Return the workload's requests as this server sees them: with shared prefixes only if it caches them."""
        return translation.kernel_requests(workload, self.engine.enable_prefix_caching, self.front_end_s)

    def check(self, workload: WorkloadTables) -> None:
        """Raise one clear line unless the server can run the workload."""
        check_inputs(self.engine, self.requests(workload), self.adapters)

    def simulate(self, requests: Requests) -> SimulationOutput:
        """Run the requests through the kernel."""
        from framework_twin.kernel.simulate import simulate

        law = self.physics.law(eager=self.settings.enforce_eager, mps=self.settings.mps)
        return simulate(self.engine, requests, law, self.adapters)

    @property
    def _block_bytes(self) -> float:
        """Bytes of a block over all GPUs that share the model: of the layers that keep every token."""
        windowed = self.shape.window_kv_bytes_per_token if self.engine.window_tokens else 0.0
        return (self.shape.kv_bytes_per_token - windowed) * KV_BLOCK_TOKENS

    def facts(self) -> dict[str, Json]:
        """Return what a reader should know of the server: resolved engine, KV cache, physics."""
        profile = self.physics.profile
        facts: dict[str, Json] = {
            "engine": asdict(self.engine),
            "kv_blocks": self.engine.kv_blocks,
            "kv_block_bytes": self._block_bytes,
            "gpus": self.settings.gpu_count,
            "front_end_s": self.front_end_s,
            "profile": profile.name if profile else self.settings.profile.replace("auto", "roofline"),
            "calibrated": self.physics.calibrated,
            "provider": self.physics.provider,
        }
        if self.physics.reason:
            facts["provider_reason"] = self.physics.reason
        if profile is not None:
            facts["profile_runs"] = profile.fit.runs
            facts["profile_error_percent"] = dict(profile.fit.held_out or profile.fit.in_sample)
        return facts


def engine_memory(
    settings: TwinSettings,
    shape: ModelShape,
    generation: str,
    ranks: npt.NDArray[np.int32] | None = None,
    request_tokens: float = 0.0,
) -> EngineMemory:
    """Return what an engine with these settings puts into memory beside its KV cache.

    Args:
        ranks: ranks of the workload's adapters; None: there are none.
        request_tokens: mean prompt and answer of a request.
    """
    ranks = np.zeros(0, np.int32) if ranks is None else ranks
    max_model_len = settings.max_model_len or shape.max_model_len
    slots = settings.max_loras if settings.max_loras is not None else len(ranks)
    largest = slot_rank(int(ranks.max())) if len(ranks) else 0
    return EngineMemory(
        generation=generation,
        gpu_memory_utilization=settings.memory_share,
        max_num_seqs=settings.most_seqs,
        max_num_batched_tokens=settings.token_budget(generation, max_model_len),
        max_model_len=max_model_len,
        max_loras=slots,
        max_lora_rank=settings.max_lora_rank if settings.max_lora_rank is not None else largest,
        deployment=settings.deployment,
        request_tokens=request_tokens,
    )


def _request_tokens(workload: WorkloadTables) -> float:
    """Return the mean prompt and answer of the workload's requests; 0 without any."""
    requests = workload.tables.get("requests")
    if requests is None or not requests.num_rows:
        return 0.0
    return float(np.mean(requests["input_tokens"].to_numpy() + requests["output_tokens"].to_numpy()))


def _engine(settings: TwinSettings, shape: ModelShape, generation: str, memory: EngineMemory) -> EngineConfig:
    return EngineConfig(
        generation="v1" if generation == "v1" else "v0",
        max_num_seqs=settings.most_seqs,
        max_num_batched_tokens=memory.max_num_batched_tokens,
        chunked_prefill=settings.chunks(generation),
        max_model_len=memory.max_model_len,
        block_size=KV_BLOCK_TOKENS,
        enable_prefix_caching=bool(settings.enable_prefix_caching),
        max_loras=memory.max_loras,
        max_cpu_loras=settings.max_cpu_loras,
        max_lora_rank=memory.max_lora_rank,
        adapters_preloaded=settings.adapters_preloaded,
        sample_period_s=settings.sample_period_s,
        replicas=settings.replicas * settings.data_parallel,
        router="least_load" if settings.router == "least_load" else "round_robin",
        replicas_on_gpu=settings.replicas_on_gpu,
        ranks=settings.deployment.in_step(shape).data,
    )


def described(settings: TwinSettings) -> tuple[ModelShape, GpuSpec]:
    """Return the model and the GPU of the settings. Raises `ConfigError` naming the key that is missing."""
    return described_model(settings.model), described_gpu(settings.gpu)
