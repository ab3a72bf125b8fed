"""Step times from a model's shape and a datasheet, matrix by matrix, with efficiencies by class of accelerator.

Each product takes the longer of reading its weights and multiplying, joined so that both count near the ridge, plus a
start-up time; experts are read as far as the step's tokens reach them; reductions pay latency and the links' rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.number_types import number_type
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.step_tables import GRID, MOST_DECODES, StepTables


@dataclass(frozen=True)
class Reach:
    """What kernels reach of a class of accelerators.

    Attributes:
        bandwidth, kv_bandwidth: share of the peak bandwidth in products and in decode attention.
        compute: share of the peak 16-bit rate in large products; compute8, compute4: of the 8- and 4-bit rates.
        attention: share of the 16-bit rate in prompt attention.
        kernel_s: start-up of one product or small kernel inside a replayed graph.
        reduce_s: latency of one reduction within a machine.
        link: share of the links' rate in reductions of long messages.
        watts: power limit for each peak 16-bit TFLOP/s of the board that these shares are of; see `sustained`.
        each_query_head: decode attention reads keys and values once for each query head, not once for its group.
    """

    bandwidth: float
    kv_bandwidth: float
    compute: float
    compute8: float
    compute4: float
    attention: float
    kernel_s: float
    reduce_s: float
    link: float
    watts: float = 0.0
    each_query_head: bool = False

    def sustained(self, gpu: GpuSpec) -> float:
        """Return how much more of its peak a board sustains than the one that the shares are of.

        Large products run into the power limit. Power grows with the clock to some 2.5, since voltage rises with it:
        with w watts for each peak TFLOP/s the clock that can be held, and so the share of the peak, grows with w^0.4.
        """
        if not self.watts:
            return 1.0
        more = (gpu.tdp_w / gpu.fp16_tflops / self.watts) ** 0.4
        return float(min(more, _MOST_OF_PEAK / self.compute))


# NVIDIA: beside the operator tables of the same accelerators; CDNA and Xe: the engine's runs on them.
REACH = {
    "ampere": Reach(0.86, 0.85, 0.72, 0.72, 0.72, 0.45, 3.0e-6, 12e-6, 0.6, 1.28),
    "ada": Reach(0.84, 0.85, 0.64, 0.52, 0.52, 0.48, 3.0e-6, 20e-6, 0.6, 0.967),
    "hopper": Reach(0.80, 0.90, 0.68, 0.60, 0.60, 0.50, 2.5e-6, 10e-6, 0.6, 0.708),
    "blackwell": Reach(0.72, 0.80, 0.70, 0.60, 0.50, 0.45, 2.5e-6, 10e-6, 0.6, 0.444),
    "blackwell-gddr": Reach(0.90, 0.88, 0.75, 0.60, 0.50, 0.55, 3.0e-6, 25e-6, 0.6, 1.19),
    "cdna2": Reach(0.41, 0.61, 0.28, 0.28, 0.28, 0.35, 6.3e-6, 24e-6, 0.5),
    "cdna3": Reach(0.70, 0.27, 0.53, 0.47, 0.47, 0.083, 6.8e-6, 21e-6, 0.47, each_query_head=True),
    "xe-hpc": Reach(0.40, 0.30, 0.29, 0.29, 0.29, 0.127, 16.6e-6, 55e-6, 0.3),
}
DEFAULT_REACH = Reach(0.80, 0.80, 0.55, 0.50, 0.45, 0.35, 4.0e-6, 20e-6, 0.5)
_KERNELS_PER_LAYER = 5
_RIDGE_POWER, _MOST_OF_PEAK = 3.0, 0.9
_EXPERT_KERNELS, _EXPERT_PASSES, _EXPERT_COMPUTE, _EXPERT_RIDGE = 6, 4.0, 0.6, 1.5
"""Of a layer's experts: kernels started; passes over the activations of all routed tokens (gather, quantise,
activate, sum up); share of the rate of plain products; ridge. Beside the operator tables of four models on four
accelerators in three number types, from 1 to 8,192 tokens, the median difference is 12 %."""
_EXPERT_SKEW = 0.8
"""The k-th expert of a layer is asked for as often as 1 / k^0.8: of the powers up to 1 it brings the tables of seven
models on five accelerators, from 1 to 256 tokens, closest (median difference 10 %; 13 % with all alike)."""


def reach_of(gpu: GpuSpec) -> Reach:
    """Return the efficiencies of an accelerator's class."""
    return REACH.get(gpu.architecture, DEFAULT_REACH)


def roofline_tables(
    shape: ModelShape, gpu: GpuSpec, deployment: Deployment, reach: Reach | None = None
) -> StepTables:
    """Return tables of a replica's step from the datasheet."""
    law = _Roofline(shape, gpu, deployment, reach or reach_of(gpu))
    stages = deployment.pipeline
    counts = np.maximum(1, np.ceil(GRID / stages))
    products = np.array([law.products_s(float(count)) for count in counts])
    slope = law.context_s / stages
    attention_rate = law.reach.attention * law.reach.sustained(gpu) * law.rate("16")
    pair = shape.attention_flops_per_pair / deployment.tensor / attention_rate
    near, near_pairs = shape.window_share, shape.window_pair_share
    start = np.full(len(GRID), law.reach.kernel_s * shape.attending)
    linear = law.state_s / stages * GRID
    return StepTables(
        tokens=GRID.astype(np.float64),
        products_s=products,
        attend_s=start + linear,
        context_s=np.full(len(GRID), slope * (1 - near)),
        window_s=np.full(len(GRID), slope * near),
        pair_s=pair * (1 - near_pairs),
        window_pair_s=pair * near_pairs,
        window=float(shape.window) if near else np.inf,
    )


class _Roofline:
    def __init__(self, shape: ModelShape, gpu: GpuSpec, deployment: Deployment, reach: Reach) -> None:
        self.shape, self.gpu, self.spread, self.reach = shape, gpu, deployment, reach
        self._bandwidth = gpu.bandwidth_tb_s * 1e12

    def rate(self, bits: str) -> float:
        """Peak operations per second of products of so many bits."""
        return self.gpu.rate_tflops(bits) * 1e12

    @property
    def context_s(self) -> float:
        """Reading one token's keys and values on one accelerator."""
        share = self.spread.kv_copies(self.shape) / self.spread.tensor
        if self.reach.each_query_head and not self.shape.kv_rank:
            share = share * self.shape.heads / self.shape.kv_heads
        return self.shape.kv_bytes_per_token * share / (self.reach.kv_bandwidth * self._bandwidth)

    @property
    def state_s(self) -> float:
        """Reading and writing one request's recurrent state."""
        state = 2.0 * self.shape.state_bytes / self.spread.tensor
        return state / (self.reach.bandwidth * self._bandwidth)

    def products_s(self, tokens: float) -> float:
        """Seconds of everything but attention in a step of so many tokens."""
        shape = self.shape
        total = sum(
            layers * self._product(tokens, params / self.spread.tensor, word)
            for layers, params, word in self._dense_matrices()
        )
        total += self._product(tokens, shape.vocab * shape.hidden / self.spread.tensor, "", many=False)
        layers = shape.attending + shape.linear_layers + shape.dense_mlp_layers + shape.moe_layers
        total += layers * (_KERNELS_PER_LAYER / 2) * self.reach.kernel_s
        total += self._small_kernels(tokens)
        total += shape.moe_layers * self._experts(tokens)
        return total + self._collectives(tokens)

    def _dense_matrices(self) -> Iterator[tuple[int, float, str]]:
        shape, dense = self.shape, self.shape.weight_type
        if shape.kv_rank:
            yield shape.attending, shape.attention_params, dense
        else:
            # attention_params = queries + gates, keys and values, outputs; the first three are one product
            kv = shape.kv_projection_params
            copies = 1 if shape.kv_heads_sum else self.spread.kv_copies(shape)
            outputs = shape.output_projection_params
            yield shape.attending, shape.attention_params - outputs + kv * (copies - 1), dense
            yield shape.attending, outputs, dense
        parts = (2, 1) if shape.gated_mlp else (1, 1)
        for count in parts:
            yield shape.dense_mlp_layers, count * shape.hidden * shape.intermediate, dense
        if shape.shared_intermediate:
            for count in parts:
                yield shape.moe_layers, count * shape.hidden * shape.shared_intermediate, dense
        if shape.expert_hidden:
            yield 2 * shape.moe_layers, shape.hidden * shape.expert_hidden, dense
        if shape.linear_layers:
            yield shape.linear_layers, shape.linear_params, dense

    def _product(self, tokens: float, params: float, word: str, *, many: bool = True) -> float:
        kind = number_type(word) if word else number_type("bf16")
        read = params * kind.bytes / (self.reach.bandwidth * self._bandwidth)
        multiply = 2.0 * params * tokens / self._reached_rate(kind.rate)
        return (
            float((read**_RIDGE_POWER + multiply**_RIDGE_POWER) ** (1 / _RIDGE_POWER)) + self.reach.kernel_s
        )

    def _reached_rate(self, bits: str) -> float:
        gpu, reach = self.gpu, self.reach
        more = reach.sustained(gpu)
        if bits == "4" and gpu.fp4_tflops:
            return more * reach.compute4 * self.rate("4")
        if bits == "8" and gpu.fp8_tflops:
            return more * reach.compute8 * self.rate("8")
        return more * reach.compute * self.rate("16")

    def _small_kernels(self, tokens: float) -> float:
        """Norms, activations and sampling: bytes of activations through memory."""
        shape = self.shape
        layer_bytes = tokens * (10 * shape.hidden) * shape.dtype_bytes
        logits = 6.0 * min(tokens, 1024) * shape.vocab / self.spread.tensor
        return float((shape.layers * layer_bytes + logits) / (self.reach.bandwidth * self._bandwidth))

    def _experts(self, tokens: float) -> float:
        """Routed experts of one layer on the fullest accelerator: read as far as the tokens of all ranks reach."""
        shape, spread = self.shape, self.spread
        if not shape.experts:
            return 0.0
        kind = number_type(shape.expert_type or shape.weight_type or "bf16")
        everyone = tokens + (spread.data - 1) * min(tokens, MOST_DECODES)  # prompts are those of one rank
        share = shape.experts_per_token / shape.experts
        reached = self._reached(everyone)
        own = shape.expert_params / spread.expert_tensor
        groups = max(1, spread.expert)
        imbalance = 1.0 if groups == 1 else 1.0 + 0.25 * min(1.0, (groups - 1) / max(1.0, everyone * share))
        routed = everyone * shape.experts_per_token / groups * imbalance
        rows = max(1.0, everyone * share)
        padded = max(1.0, 8.0 / rows) if rows < 8 else 1.0
        bandwidth = self.reach.bandwidth * self._bandwidth
        read_s = reached / groups * imbalance * own * kind.bytes / bandwidth
        work_s = 2.0 * own * routed * padded / (_EXPERT_COMPUTE * self._reached_rate(kind.rate))
        joined = (read_s**_EXPERT_RIDGE + work_s**_EXPERT_RIDGE) ** (1 / _EXPERT_RIDGE)
        width = shape.hidden + shape.expert_intermediate / spread.expert_tensor
        passes_s = _EXPERT_PASSES * routed * width * shape.dtype_bytes / bandwidth
        return float(joined + passes_s) + _EXPERT_KERNELS * self.reach.kernel_s

    def _reached(self, tokens: float) -> float:
        """Experts of a layer that so many tokens are sent to; some are asked for more often than others."""
        shape = self.shape
        asked = np.arange(1.0, shape.experts + 1) ** -_EXPERT_SKEW
        chance = np.minimum(1.0, shape.experts_per_token * asked / asked.sum())
        return float(np.sum(1.0 - (1.0 - chance) ** tokens))

    def _collectives(self, tokens: float) -> float:
        """Reductions of tensor parallelism, all-to-alls of expert parallelism, hand-over between stages."""
        shape, spread = self.shape, self.spread
        message = tokens * shape.hidden * shape.dtype_bytes
        layers = shape.attending + shape.linear_layers
        total = 0.0
        if spread.tensor > 1:
            blocks = layers + shape.dense_mlp_layers + (shape.moe_layers if spread.data == 1 else 0)
            total += blocks * self._reduction(message, spread.tensor)
        if spread.data > 1 and shape.moe_layers:
            total += shape.moe_layers * 2 * self._exchange(message / spread.tensor)
        if spread.pipeline > 1:
            total += (spread.pipeline - 1) * (30e-6 + message / (self.gpu.network_gb_s * 1e9))
        return total

    def _reduction(self, message: float, members: int) -> float:
        """One all-reduce: latency, and 2 (m − 1) / m of the message over each link; twice both through the host."""
        once = self.reach.reduce_s * (1 + 0.1 * members)
        once += 2.0 * (members - 1) / members * message / self._link_rate(members)
        return once if self.gpu.peer_to_peer else 2 * once

    def _exchange(self, message: float) -> float:
        """Tokens of one accelerator on their way to their experts: once to each of those within the machine, once to
        each other machine; without expert groups, to every rank."""
        gpu, spread = self.gpu, self.spread
        machines = max(1, spread.expert_shards // gpu.gpus_per_node)
        within = min(spread.expert_shards, gpu.gpus_per_node)
        reached = min(self.shape.experts_per_token, spread.expert) if spread.expert > 1 else spread.data
        near = (
            message * min(reached, within) * (within - 1) / within / (self.reach.link * gpu.link_gb_s * 1e9)
        )
        far = message * min(reached, machines) * (machines - 1) / machines
        return 2 * self.reach.reduce_s * machines + near + far / (self.reach.link * gpu.network_gb_s * 1e9)

    def _link_rate(self, members: int) -> float:
        beyond = members > self.gpu.gpus_per_node
        rate = self.gpu.network_gb_s if beyond else self.gpu.link_gb_s
        return self.reach.link * rate * 1e9
