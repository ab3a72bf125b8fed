"""How many KV blocks an engine has: what the weights, the buffers and the adapter slots leave over.

An engine profiles one forward pass with `max_num_batched_tokens` tokens and one sampling step with
`max_num_seqs` sequences, then gives the rest of `gpu_memory_utilization` to the KV cache. So a larger
`max_num_seqs`, a larger token budget or more adapter slots all shrink it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from framework.errors import ConfigError
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import GIB, KV_BLOCK_TOKENS, ModelShape
from framework_twin.physics.adapter_memory import adapter_slot_bytes
from framework_twin.physics.uncalibrated.deployment import Deployment

MIB = 1024**2
_SMALL_SORT_ROWS = 64


@dataclass(frozen=True)
class MemoryCoefficients:
    """What an engine generation holds besides weights, KV cache and adapter slots.

    Attributes:
        reserved_bytes: CUDA context, communication and graph buffers outside the profiled peak.
        forward_factor: peak of the forward pass in units of the MLP and residual buffers of one layer.
        sampler_bytes_per_logit: bytes of sampling buffers for one (sequence, vocabulary word) pair.
        sampler_bytes_per_logit_small: the same for at most 64 sequences, where sorting needs more.
        lora_fixed_bytes: buffers that exist as soon as adapters are enabled.
        lora_word_tables: buffers of 256 added words a slot, where the engine adapts embeddings.
    """

    reserved_bytes: float
    forward_factor: float
    sampler_bytes_per_logit: float
    sampler_bytes_per_logit_small: float
    lora_fixed_bytes: float
    lora_word_tables: float


# From the block counts of ../shared/data: V0 serving_runs_calibration (memory_gap), V1 adapter_kv_capacity
# and adapter_estimator_runs; see docs/twin_physics.md.
GENERATION_MEMORY = {
    "v0": MemoryCoefficients(134 * MIB, 1.0, 38.0, 51.0, 0.0, 3.5),
    "v1": MemoryCoefficients(790 * MIB, 2.0, 14.1, 14.1, 262 * MIB, 3.0),
}


@dataclass(frozen=True)
class EngineMemory:
    """Engine settings that decide the size of the KV cache, for one replica.

    Attributes:
        generation: `v0` or `v1`.
        gpu_memory_utilization: share of the GPU this replica may use, 0–1.
        max_num_seqs, max_num_batched_tokens, max_model_len: engine limits.
        max_loras, max_lora_rank: adapter slots and the rank they are sized for; 0 slots = adapters off.
        deployment: accelerators that share the model, and how.
        request_tokens: mean prompt and answer of a request; where it is beyond the window of windowed layers, what
            these keep is counted apart, as the engine does from V1 on.
    """

    generation: str
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    max_loras: int = 0
    max_lora_rank: int = 0
    deployment: Deployment = field(default_factory=Deployment)
    request_tokens: float = 0.0


@dataclass(frozen=True)
class KvCapacity:
    """Size of the KV cache of one replica and what took the rest of its memory (bytes per GPU).

    Attributes:
        blocks, block_bytes: of 16 tokens in the layers that keep all of them.
        state_blocks: blocks for the state that recurrent layers keep of one running request.
        window_tokens, window_blocks: blocks for the tokens that windowed layers keep of one running request, and how
            many tokens those are at most.
        weight_bytes, buffer_bytes, adapter_bytes, budget_bytes: what else there is, and all that may be used.
    """

    blocks: int
    block_bytes: float
    weight_bytes: float
    buffer_bytes: float
    adapter_bytes: float
    budget_bytes: float
    state_blocks: int = 0
    window_tokens: int = 0
    window_blocks: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of one request that the cache can hold."""
        return (self.blocks - self.state_blocks - self.window_blocks) * KV_BLOCK_TOKENS

    @property
    def in_blocks(self) -> dict[str, Any]:
        """The cache, and what a running request holds beside its tokens, named as the kernel's engine names them."""
        return {
            "kv_blocks": self.blocks,
            "state_blocks": self.state_blocks,
            "window_tokens": self.window_tokens,
            "window_blocks": self.window_blocks,
        }

    @property
    def kv_bytes(self) -> float:
        """Bytes of the KV cache on one GPU."""
        return self.blocks * self.block_bytes


def kv_capacity(
    shape: ModelShape, gpu: GpuSpec, engine: EngineMemory, coefficients: MemoryCoefficients | None = None
) -> KvCapacity:
    """Return the KV cache that `engine` gets for `shape` on `gpu`.

    Raises `ConfigError` when weights, buffers and adapter slots leave less than one request of
    `max_model_len` tokens: that server refuses to start.
    """
    held = coefficients or GENERATION_MEMORY[engine.generation]
    spread = engine.deployment
    shards = spread.tensor
    budget = engine.gpu_memory_utilization * gpu.memory_gib * GIB
    routed = shape.routed_params * shape.expert_weight_bytes_each
    weights = (shape.weight_bytes - routed + routed / spread.data) / (spread.tensor * spread.pipeline)
    buffers = held.reserved_bytes + _peak_buffer_bytes(shape, engine, held)
    adapters = 0.0
    if engine.max_loras:
        slots = (engine.max_loras, engine.max_lora_rank, held.lora_word_tables, shards)
        adapters = held.lora_fixed_bytes + adapter_slot_bytes(shape, *slots)
    copies = spread.kv_copies(shape) / (spread.tensor * spread.pipeline)
    apart = engine.generation == "v1" and engine.request_tokens > shape.window
    windowed = shape.window_kv_bytes_per_token if apart else 0.0
    block_bytes = (shape.kv_bytes_per_token - windowed) * KV_BLOCK_TOKENS * copies
    free = budget - weights - buffers - adapters
    state = math.ceil(shape.state_bytes / (spread.tensor * spread.pipeline) / block_bytes)
    capacity = KvCapacity(
        int(free // block_bytes),
        block_bytes,
        weights,
        buffers,
        adapters,
        budget,
        state_blocks=state,
        window_tokens=shape.window if windowed else 0,
        window_blocks=math.ceil(shape.window * windowed * copies / block_bytes),
    )
    if capacity.tokens < engine.max_model_len:
        if engine.generation == "v1" and not apart and shape.window_kv_bytes_per_token:
            # short requests fill every layer alike, but the longest one leaves what is beyond the window
            kv_capacity(shape, gpu, replace(engine, request_tokens=float("inf")), coefficients)
        else:
            raise ConfigError(_infeasible(shape, gpu, engine, capacity, free))
    return capacity


def _peak_buffer_bytes(shape: ModelShape, engine: EngineMemory, held: MemoryCoefficients) -> float:
    """Larger of the two peaks that the engine profiles: the forward pass and the sampler."""
    tokens = engine.max_num_batched_tokens
    layer = (3 if shape.gated_mlp else 2) * shape.intermediate + 4 * shape.hidden
    forward = held.forward_factor * tokens * layer * shape.dtype_bytes
    small = engine.max_num_seqs <= _SMALL_SORT_ROWS
    per_logit = held.sampler_bytes_per_logit_small if small else held.sampler_bytes_per_logit
    sampler = engine.max_num_seqs * shape.vocab * per_logit + tokens * shape.hidden * shape.dtype_bytes
    return max(forward, sampler)


def _infeasible(
    shape: ModelShape, gpu: GpuSpec, engine: EngineMemory, capacity: KvCapacity, free: float
) -> str:
    slots = f", {engine.max_loras} adapter slots of rank {engine.max_lora_rank}" if engine.max_loras else ""
    left = f"{free / GIB:.2f} GiB ({max(0, capacity.tokens)} tokens)" if free > 0 else "no memory"
    return (
        f"KV cache can't hold one request: {shape.name} on {gpu.name} with gpu_memory_utilization"
        f" {engine.gpu_memory_utilization:g}, max_num_seqs {engine.max_num_seqs}{slots} leaves {left},"
        f" but max_model_len is {engine.max_model_len}{_way_out(capacity)}"
    )


def _way_out(capacity: KvCapacity) -> str:
    if capacity.tokens < KV_BLOCK_TOKENS:
        return "; spread the model over more GPUs or store its weights in fewer bits"
    return f"; set backend.max_model_len to at most {capacity.tokens}"
