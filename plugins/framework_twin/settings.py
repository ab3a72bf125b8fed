"""The twin's configuration: the engine settings that users type, and vLLM's own defaults for what they leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from framework.errors import ConfigError


@dataclass
class TwinSettings:
    """`backend=twin`; keys that a real engine has too bear vLLM's names and mean the same.

    Attributes:
        engine: scheduler generation `v0` or `v1`; `auto` takes `v0` where chunked prefill is switched off (V1
            always chunks), else the one that a profile of this model and GPU was measured on, else `v1`.
        profile: `auto` (the fitted profile of this model, GPU, generation; else `roofline`), `roofline`
            (datasheet only), `published` (the formulas of arXiv 2508.08343), or a profile's file or name.
        profile_folder: where the user's own profiles are; one of them goes before a shipped one.
        max_num_seqs: most requests in the running batch, per replica.
        max_num_batched_tokens: tokens a step may compute; null: the engine generation's default.
        chunked_prefill: null: the engine generation's default.
        max_model_len: longest request, tokens; null: the model's.
        gpu_memory_utilization: share of each GPU's memory for all replicas on it together.
        kv_blocks: KV blocks per replica; null: from the model's shape and the memory that is left.
        replicas: engines behind one router.
        gpus: GPUs that the replicas are spread over evenly; null: as many as one replica needs.
        mps: replicas on one GPU share it by NVIDIA MPS; false: by time slicing.
        router: `round_robin` or `least_load`.
        tensor_parallel: GPUs that one replica's model is split over.
        max_loras, max_cpu_loras, max_lora_rank: adapter slots on the GPU, adapters in host memory, largest rank;
            null: no LoRA, or as many as the workload's adapters need.
        sample_period_s: spacing of the time series; null: none.
    """

    _target_: str = "framework_twin.backend.TwinBackend"
    name: str = "twin"
    model: Any = None
    gpu: Any = None
    engine: str = "auto"
    profile: str = "auto"
    profile_folder: str | None = None
    max_num_seqs: int = 256
    max_num_batched_tokens: int | None = None
    chunked_prefill: bool | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    kv_blocks: int | None = None
    enable_prefix_caching: bool = False
    enforce_eager: bool = False
    replicas: int = 1
    gpus: int | None = None
    mps: bool = True
    router: str = "round_robin"
    tensor_parallel: int = 1
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    max_lora_rank: int | None = None
    sample_period_s: float | None = 1.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        for key in ("max_num_seqs", "replicas", "tensor_parallel"):
            _at_least(key, getattr(self, key), 1)
        for key in _OPTIONAL:
            if getattr(self, key) is not None:
                _at_least(key, getattr(self, key), 1)
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ConfigError(
                f"backend.gpu_memory_utilization: {self.gpu_memory_utilization} is not above 0 and at most 1"
            )
        if self.engine not in ("auto", "v0", "v1"):
            raise ConfigError(f"backend.engine: '{self.engine}' is not one of auto, v0, v1")
        if self.engine == "v1" and self.chunked_prefill is False:
            raise ConfigError("backend.chunked_prefill: false needs engine v0; v1 always chunks prompts")
        if self.router not in ("round_robin", "least_load"):
            raise ConfigError(f"backend.router: '{self.router}' is not one of round_robin, least_load")
        shards = self.replicas * self.tensor_parallel
        if shards % self.gpu_count or self.gpu_count < self.tensor_parallel:
            raise ConfigError(
                f"backend.gpus: {self.replicas} replicas of {self.tensor_parallel} shards can't be spread evenly "
                f"over {self.gpu_count} GPUs"
            )
        if self.sample_period_s is not None and not self.sample_period_s > 0:
            raise ConfigError(
                f"backend.sample_period_s: {self.sample_period_s} is not above 0; null for none"
            )

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas together."""
        return self.gpus or self.tensor_parallel

    @property
    def replicas_on_gpu(self) -> int:
        """Replicas that share one GPU."""
        return self.replicas * self.tensor_parallel // self.gpu_count

    @property
    def memory_share(self) -> float:
        """Share of a GPU's memory that one replica may use."""
        return self.gpu_memory_utilization / self.replicas_on_gpu

    def token_budget(self, generation: str, max_model_len: int) -> int:
        """Return the tokens a step may compute: as set, else the default of the engine generation.

        V0 with chunked prefill took 512, without it a whole prompt must fit; V1 takes 2048. A default below
        `max_num_seqs`, which the engines refuse, is raised to it.
        """
        if self.max_num_batched_tokens is not None:
            return self.max_num_batched_tokens
        if generation == "v1":
            return max(2048, self.max_num_seqs)
        if self.chunks(generation):
            return max(512, self.max_num_seqs)
        return max(2048, max_model_len, self.max_num_seqs)

    def chunks(self, generation: str) -> bool:
        """Return whether prompts are computed in chunks beside decodes."""
        return generation == "v1" or bool(self.chunked_prefill)


_OPTIONAL = ("gpus", "max_num_batched_tokens", "max_model_len", "kv_blocks", "max_loras", "max_lora_rank")


def _at_least(key: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"backend.{key}: {value!r} is not a whole number of at least {least}")
