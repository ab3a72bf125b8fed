"""The settings of an engine that its twin has too: declared once, so that one experiment file serves both.

Names and meanings are vLLM's, in the shorter form that studies use (`chunked_prefill` for
`--enable-chunked-prefill`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from framework.configuration.plain_values import from_plain, number, one_of, whole
from framework.errors import ConfigError

_T = TypeVar("_T", bound="EngineKnobs")

ROUTERS = ("round_robin", "least_load")


@dataclass
class EngineKnobs:
    """Settings of one engine; keys of the configuration group `backend`.

    Attributes:
        max_num_seqs: most requests in the running batch, per replica; null: the engine's default.
        max_num_batched_tokens: tokens a step may compute; null: the engine's default.
        chunked_prefill: null: the engine's default.
        max_model_len: longest request, tokens; null: the model's.
        gpu_memory_utilization: share of each GPU's memory for all replicas on it together.
        kv_blocks: KV blocks per replica, of the engine's own block size; null: what memory holds.
        tensor_parallel: GPUs that share every layer.
        pipeline_parallel: stages that the layers are cut into.
        expert_parallel: groups that the experts are distributed over; 1: each is cut over all GPUs.
        enable_prefix_caching: null: the engine's default.
        max_loras, max_cpu_loras, max_lora_rank: adapter slots on the GPU, adapters in host memory, largest rank;
            null: no LoRA, or as many as the workload's adapters need.
    """

    model: Any = None
    gpu: Any = None
    max_num_seqs: int | None = 256
    max_num_batched_tokens: int | None = None
    chunked_prefill: bool | None = None
    max_model_len: int | None = None
    gpu_memory_utilization: float = 0.9
    kv_blocks: int | None = None
    enable_prefix_caching: bool | None = False
    enforce_eager: bool = False
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    max_loras: int | None = None
    max_cpu_loras: int | None = None
    max_lora_rank: int | None = None

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        self.check_counts("tensor_parallel", "pipeline_parallel", "expert_parallel")
        self.check_counts(
            "max_num_seqs",
            "max_num_batched_tokens",
            "max_model_len",
            "kv_blocks",
            "max_loras",
            "max_cpu_loras",
            "max_lora_rank",
            optional=True,
        )
        if not 0.0 < self.gpu_memory_utilization <= 1.0:
            raise ConfigError(
                f"backend.gpu_memory_utilization: {self.gpu_memory_utilization} is not above 0 and at most 1"
            )

    @property
    def replica_gpus(self) -> int:
        """GPUs of one replica."""
        return self.expert_shards * self.pipeline_parallel

    @property
    def expert_shards(self) -> int:
        """GPUs that the experts of one layer are spread over."""
        return self.tensor_parallel

    @property
    def most_seqs(self) -> int:
        """Most requests in the running batch, where it has to be known. Raises `ConfigError` where it is null."""
        if self.max_num_seqs is None:
            raise ConfigError(
                "backend.max_num_seqs: null leaves it to the engine, but here a number is needed"
            )
        return self.max_num_seqs

    def check_counts(self, *keys: str, optional: bool = False) -> None:
        """Raise `ConfigError` for a key whose value is not a whole number of at least 1 (or null, if allowed)."""
        for key in keys:
            value = getattr(self, key)
            if value is not None or not optional:
                whole(value, f"backend.{key}", least=1)

    def check_positive(self, *keys: str) -> None:
        """Raise `ConfigError` where a key's value is neither null nor above 0."""
        for key in keys:
            value = getattr(self, key)
            if value is not None:
                number(value, f"backend.{key}", above=0)

    def check_word(self, key: str, allowed: Sequence[str]) -> None:
        """Raise `ConfigError` for a key whose value is not one of the allowed words."""
        one_of(getattr(self, key), f"backend.{key}", allowed)


@dataclass
class ReplicaKnobs(EngineKnobs):
    """Settings of several engines behind one router.

    Attributes:
        data_parallel: ranks of each engine, with a scheduler and a KV cache of their own, that share the experts;
            `max_num_seqs`, `max_num_batched_tokens` and `kv_blocks` are those of one rank.
        replicas: engines behind one router.
        gpus: GPUs that the replicas are spread over evenly; null: as many as one replica needs.
        mps: replicas on one GPU share it by NVIDIA MPS; false: by time slicing.
        router: `round_robin` or `least_load`.
        sample_period_s: spacing of the time series; null: none.
    """

    data_parallel: int = 1
    replicas: int = 1
    gpus: int | None = None
    mps: bool = True
    router: str = "round_robin"
    sample_period_s: float | None = 1.0

    def check(self) -> None:
        """Raise `ConfigError`, one line that names the key, for a value that no engine accepts."""
        super().check()
        self.check_counts("data_parallel", "replicas")
        self.check_counts("gpus", optional=True)
        self.check_positive("sample_period_s")
        self.check_word("router", ROUTERS)
        if self.shards % self.gpu_count or self.gpu_count < self.replica_gpus:
            raise ConfigError(
                f"backend.gpus: {self.replicas} replicas of {self.replica_gpus} GPUs each can't be "
                "distributed evenly "
                f"over {self.gpu_count} GPUs"
            )
        count = self.gpu.get("count") if isinstance(self.gpu, Mapping) else None
        if count is not None and self.gpu_count > whole(count, "gpu.count", least=1):
            raise ConfigError(
                f"gpu.count: the machine has {count} GPUs, but replicas and parallelism of backend take"
                f" {self.gpu_count}"
            )

    @property
    def expert_shards(self) -> int:
        """GPUs that the experts of one layer are spread over: those of all data-parallel ranks."""
        return self.tensor_parallel * self.data_parallel

    @property
    def shards(self) -> int:
        """Parts of models, each in a GPU's memory, of all replicas together."""
        return self.replicas * self.replica_gpus

    @property
    def gpu_count(self) -> int:
        """GPUs of all replicas together."""
        return self.gpus or self.replica_gpus

    @property
    def replicas_on_gpu(self) -> int:
        """Replicas that share one GPU."""
        return self.shards // self.gpu_count

    def gpus_of(self, replica: int) -> tuple[int, ...]:
        """Places among the run's GPUs of those that a replica (from 0) gets; replicas are spread over them evenly."""
        size = self.replica_gpus
        return tuple((replica * size + shard) % self.gpu_count for shard in range(size))

    @property
    def memory_share(self) -> float:
        """Share of a GPU's memory that one replica may use."""
        return self.gpu_memory_utilization / self.replicas_on_gpu


def replica_knobs(backend: Mapping[str, Any]) -> ReplicaKnobs:
    """Return what a serving run's configuration says of its replicas; what it leaves out or leaves to the engine is
    the default here."""
    names = {item.name for item in fields(ReplicaKnobs)}
    return ReplicaKnobs(
        **{key: value for key, value in backend.items() if key in names and value is not None}
    )


def checked_settings(kind: type[_T], keys: Mapping[str, Any]) -> _T:
    """Return checked settings from a configuration group's keys. Raises `ConfigError` naming the key."""
    settings = from_plain(kind, keys, "backend")
    settings.check()
    return settings
