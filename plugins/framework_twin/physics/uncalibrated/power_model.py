"""Watts of an accelerator by chip generation, from what it does: kernels, bytes moved, operations.

Shares of the board's limit: one while the model is loaded, one while kernels run, one at full memory bandwidth, one
at the full rate of products. Fitted on published watts and joules of A100, H100 and B200 (docs/accuracy.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.power import Activity
from framework_twin.physics.uncalibrated.deployment import Deployment


@dataclass(frozen=True)
class PowerShares:
    """Shares of the board's power limit: at rest, and added by running kernels, by memory and by products."""

    rest: float
    kernels: float
    memory: float
    products: float


POWER_SHARES = {
    "ampere": PowerShares(0.125, 0.256, 0.475, 0.731),
    "hopper": PowerShares(0.166, 0.0, 0.919, 1.896),
    "blackwell": PowerShares(0.503, 0.108, 0.331, 1.769),
}
DEFAULT_SHARES = PowerShares(0.15, 0.12, 0.6, 1.2)
_MOST = 0.97
"""Share of the limit that the busiest of the fitted runs drew."""


def board_watts(shape: ModelShape, gpu: GpuSpec, spread: Deployment, done: Activity) -> float:
    """Return mean watts of one accelerator of a replica (of one rank, with data parallelism), at most its limit."""
    memory, products = utilisation(shape, gpu, spread, done)
    shares = POWER_SHARES.get(gpu.architecture, DEFAULT_SHARES)
    rest = gpu.idle_w / gpu.tdp_w if gpu.idle_w and gpu.architecture not in POWER_SHARES else shares.rest
    share = rest + shares.kernels * done.busy_share + shares.memory * memory + shares.products * products
    return gpu.tdp_w * min(_MOST, share)


def utilisation(shape: ModelShape, gpu: GpuSpec, spread: Deployment, done: Activity) -> tuple[float, float]:
    """Return the shares of peak bandwidth and of the peak 16-bit rate that a replica's activity takes on each GPU."""
    within = spread.tensor * spread.pipeline
    tokens_step = done.tokens_s / done.steps_s if done.steps_s else 1.0
    routed = shape.routed_params * shape.expert_weight_bytes_each
    reached = 0.0
    if shape.experts:
        idle = (1.0 - shape.experts_per_token / shape.experts) ** (tokens_step * spread.data)
        reached = routed * (1.0 - idle) / spread.data
    weights = (shape.streamed_weight_bytes - routed + reached) * done.steps_s / within
    cache = done.context_tokens_s * shape.kv_bytes_per_token * spread.kv_copies(shape) / within
    memory = (weights + cache) / (gpu.bandwidth_tb_s * 1e12)
    pairs = done.context_tokens_s * shape.attention_flops_per_pair
    products = (done.tokens_s * shape.flops_per_token + pairs) / within / (gpu.fp16_tflops * 1e12)
    return memory, products
