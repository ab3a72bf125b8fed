"""How a model is spread over accelerators, and what an engine refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from framework.errors import ConfigError
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape


@dataclass(frozen=True)
class Deployment:
    """One engine's parallelism, as vLLM has it.

    Attributes:
        tensor: accelerators that share every layer of one data-parallel rank.
        pipeline: stages that the layers are cut into.
        data: ranks with an attention, KV cache and scheduler of their own that share the experts, if there are any.
        expert: groups that the experts are distributed over; 1: each is cut over all accelerators instead.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1

    @property
    def gpus(self) -> int:
        """Accelerators of one engine."""
        return self.tensor * self.pipeline * self.data

    def in_step(self, shape: ModelShape) -> Deployment:
        """Return what steps together: without experts to share, each data-parallel rank is an engine of its own."""
        return self if shape.experts else replace(self, data=1)

    @property
    def expert_shards(self) -> int:
        """Accelerators that the experts of one layer are spread over."""
        return self.tensor * self.data

    @property
    def expert_tensor(self) -> int:
        """Parts that each expert's matrices are cut into."""
        return max(1, self.expert_shards // self.expert)

    def check(self, shape: ModelShape) -> None:
        """Raise `ConfigError` for what vLLM refuses as well; one line that names the key."""
        if shape.heads % self.tensor:
            raise ConfigError(
                f"backend.tensor_parallel: the {shape.heads} attention heads of {shape.name} can't be divided by"
                f" {self.tensor}"
            )
        if shape.kv_heads % self.tensor and self.tensor % max(1, shape.kv_heads):
            raise ConfigError(
                f"backend.tensor_parallel: {self.tensor} neither divides the {shape.kv_heads} KV heads of"
                f" {shape.name} nor is a multiple of them"
            )
        if self.pipeline > shape.layers:
            raise ConfigError(
                f"backend.pipeline_parallel: {self.pipeline} stages for {shape.layers} layers of {shape.name}"
            )
        if self.expert > 1 and not shape.experts:
            raise ConfigError(f"backend.expert_parallel: {shape.name} has no experts")
        if self.expert > 1 and (self.expert_shards % self.expert or self.expert > shape.experts):
            raise ConfigError(
                f"backend.expert_parallel: {shape.experts} experts over {self.expert_shards} GPUs can't be"
                f" distributed over {self.expert} groups"
            )

    def kv_copies(self, shape: ModelShape) -> float:
        """Return how often the KV cache is stored within a tensor-parallel group: heads below its size are copied."""
        if shape.kv_rank:
            return float(self.tensor)
        return max(1.0, self.tensor / max(1, shape.kv_heads))

    def crosses_nodes(self, gpu: GpuSpec) -> bool:
        """Return whether a tensor-parallel group is wider than a machine."""
        return self.tensor > gpu.gpus_per_node
