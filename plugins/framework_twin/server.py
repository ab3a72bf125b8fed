"""A server that exists only as numbers: settings, memory and step-time law resolved, ready to serve a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from framework_serving.gpu_spec import GpuSpec
from framework_serving.model_shape import KV_BLOCK_TOKENS, ModelShape

from framework.contracts import Json, Metric, Result, WorkloadTables
from framework.errors import ConfigError
from framework_twin import translation
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, check_inputs
from framework_twin.memory import EngineMemory, KvCapacity, kv_capacity
from framework_twin.roofline import roofline
from framework_twin.settings import TwinSettings


@dataclass(frozen=True)
class SimulatedServer:
    """Everything the kernel needs besides the requests.

    Attributes:
        engine: the kernel's configuration of each replica.
        law: parameter vector of the step-time law.
        adapters: adapters with their load times.
        capacity: what the KV cache got of the memory; None where `kv_blocks` was set by hand.
    """

    settings: TwinSettings
    shape: ModelShape
    gpu: GpuSpec
    engine: EngineConfig
    law: npt.NDArray[np.float64]
    adapters: AdapterTable
    capacity: KvCapacity | None

    @classmethod
    def start(cls, settings: TwinSettings, workload: WorkloadTables) -> SimulatedServer:
        """Resolve settings against model, GPU and the workload's adapters.

        Raises:
            ConfigError: such a server could not start; one line that names the key.
        """
        shape = _spec(ModelShape, settings.model, "model")
        gpu = _spec(GpuSpec, settings.gpu, "gpu")
        generation = settings.engine if settings.engine != "auto" else "v0"
        ranks = translation.adapter_ranks(workload)
        max_model_len = settings.max_model_len or shape.max_model_len
        capacity = None
        memory = EngineMemory(
            generation=generation,
            gpu_memory_utilization=settings.memory_share,
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=settings.token_budget(generation, max_model_len),
            max_model_len=max_model_len,
            max_loras=_slots(settings, len(ranks)),
            max_lora_rank=_slot_rank(settings, ranks),
            tensor_parallel=settings.tensor_parallel,
        )
        if settings.kv_blocks is None:
            capacity = kv_capacity(shape, gpu, memory)
        engine = EngineConfig(
            generation=generation,
            kv_blocks=settings.kv_blocks or capacity.blocks,
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=memory.max_num_batched_tokens,
            chunked_prefill=settings.chunks(generation),
            max_model_len=max_model_len,
            block_size=KV_BLOCK_TOKENS,
            enable_prefix_caching=settings.enable_prefix_caching,
            max_loras=memory.max_loras,
            max_cpu_loras=settings.max_cpu_loras,
            max_lora_rank=memory.max_lora_rank,
            horizon_s=workload.facts.get("horizon_s"),
            replicas=settings.replicas,
            router=settings.router,
            replicas_on_gpu=settings.replicas_on_gpu,
        )
        law = roofline(shape, gpu, generation, tensor_parallel=settings.tensor_parallel).law(
            eager=settings.enforce_eager, mps=settings.mps
        )
        return cls(settings, shape, gpu, engine, law, AdapterTable(ranks, np.zeros(len(ranks))), capacity)

    def check(self, workload: WorkloadTables) -> None:
        """Raise one clear line unless the server can run the workload."""
        check_inputs(self.engine, translation.kernel_requests(workload), self.adapters)

    def serve(self, workload: WorkloadTables) -> Result:
        """Simulate the workload and return the serving tables, metrics and facts."""
        from framework_twin.kernel.simulate import simulate

        output = simulate(self.engine, translation.kernel_requests(workload), self.law, self.adapters)
        metrics = [
            *translation.token_gap_metrics(output),
            Metric("kv_usage_peak", output.kv_usage_peak, "", "twin"),
            Metric("running_mean", output.running_mean, "requests", "twin"),
            Metric("waiting_peak", float(output.waiting_peak), "requests", "twin"),
        ]
        return Result(
            metrics=metrics,
            tables={"requests": translation.request_outcomes(workload, output)},
            facts={"duration_s": output.duration_s, "steps": output.steps, **self._facts()},
        )

    def _facts(self) -> dict[str, Json]:
        facts: dict[str, Json] = {
            "engine": {key: value for key, value in asdict(self.engine).items()},
            "kv_blocks": self.engine.kv_blocks,
        }
        if self.capacity is not None:
            facts["kv_block_bytes"] = self.capacity.block_bytes
        return facts


def _spec(kind: type[Any], group: Any, name: str) -> Any:
    """Return a typed description of the model or the GPU from its configuration group."""
    if not isinstance(group, Mapping) or group.get("name") is None:
        raise ConfigError(f"backend=twin needs {name}=NAME; the study sets {name}=none")
    missing = sorted(kind.__dataclass_fields__.keys() - group.keys())
    if missing:
        raise ConfigError(f"configuration key '{name}.{missing[0]}' is missing")
    return kind(**{key: group[key] for key in kind.__dataclass_fields__})


def _slots(settings: TwinSettings, adapters: int) -> int:
    if settings.max_loras is not None:
        return settings.max_loras
    return adapters


def _slot_rank(settings: TwinSettings, ranks: npt.NDArray[np.int32]) -> int:
    if settings.max_lora_rank is not None:
        return settings.max_lora_rank
    return int(ranks.max()) if len(ranks) else 0
