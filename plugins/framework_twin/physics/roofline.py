"""Step-time coefficients from a model's shape and a GPU's datasheet, where no profile was calibrated.

Peak rates become times through efficiencies: the share of the peak that the calibrated profiles reach.
They also serve calibration as prior means, so that a profile fitted on few runs stays physical.
"""

from __future__ import annotations

from dataclasses import dataclass

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.coefficients import StepCoefficients


@dataclass(frozen=True)
class Efficiency:
    """What an engine generation reaches of the hardware, and what its own work costs.

    Attributes:
        weight_bandwidth, kv_bandwidth: share of peak bandwidth in matrix kernels and decode attention.
        compute: share of the peak rate in large matrix products.
        attention: share of the peak rate in prompt attention.
        host_s, host_per_seq_s, hidden_host_per_seq_s, prefill_step_s: host work, seconds.
        kernel_per_layer_s: small kernels of one layer; launch_per_layer_s: launching them one by one.
        kernel_per_logit_s: sampling, per word of the vocabulary and sequence.
        allreduce_s, allreduce_per_byte_s: one reduction over GPUs with tensor parallelism.
    """

    weight_bandwidth: float
    kv_bandwidth: float
    compute: float
    attention: float
    host_s: float
    host_per_seq_s: float
    hidden_host_per_seq_s: float
    prefill_step_s: float
    kernel_per_layer_s: float
    kernel_per_logit_s: float
    launch_per_layer_s: float
    allreduce_s: float = 12e-6
    allreduce_per_byte_s: float = 1.0 / 150e9


# Medians over the calibrated profiles, rounded (docs/twin_physics.md). Reductions over GPUs: NVLink-class
# latency and bandwidth, an assumption: no tensor-parallel run is in the data.
EFFICIENCY = {
    "v0": Efficiency(0.89, 0.90, 0.50, 0.35, 1.0e-3, 33e-6, 15e-6, 0.5e-3, 40e-6, 2.0e-10, 0.35e-3),
    "v1": Efficiency(0.89, 0.95, 0.55, 0.35, 1.0e-3, 8e-6, 2e-6, 0.5e-3, 40e-6, 0.4e-10, 0.15e-3),
}
XFORMERS_KV_SHARE = 0.85
"""Decode attention of vLLM's own paged kernel (head sizes FlashAttention lacks) against FlashAttention."""

LORA_FIXED_S = 0.85e-3
LORA_PER_SLOT_S = 20e-6
LORA_PER_ADAPTER_S = 0.5e-3
LORA_PER_PREFILL_TOKEN_S = 20e-6
LORA_PER_SLOT_TOKEN_S = 0.13e-6
LORA_RANK_SHARE = 0.2
LORA_LARGE_STEP_SHARE = {"v0": 1.0, "v1": 0.85}
LORA_PER_RANK_TOKEN_S = {"v0": 20e-6, "v1": 0.0}
_SCAN_S = 0.2e-6
_LORA_REFERENCE_LAYERS = 32


def roofline(
    shape: ModelShape,
    gpu: GpuSpec,
    generation: str,
    *,
    attention_backend: str = "FLASH_ATTN",
    tensor_parallel: int = 1,
) -> StepCoefficients:
    """Return uncalibrated coefficients: bytes over bandwidth and operations over rate, with `EFFICIENCY`.

    Adapter terms are launch-bound (thousands of small thread blocks), so they scale with the number of
    layers and not with the GPU's bandwidth.
    """
    reach = EFFICIENCY[generation]
    bandwidth = gpu.bandwidth_tb_s * 1e12 * tensor_parallel
    rate = gpu.fp16_tflops * 1e12 * tensor_parallel
    kv_reach = reach.kv_bandwidth * (XFORMERS_KV_SHARE if attention_backend == "XFORMERS" else 1.0)
    reductions = 2 * shape.layers if tensor_parallel > 1 else 0
    layer_share = shape.layers / _LORA_REFERENCE_LAYERS
    token_bytes = shape.hidden * shape.dtype_bytes
    return StepCoefficients(
        host_s=reach.host_s,
        host_per_seq_s=reach.host_per_seq_s,
        weights_s=shape.streamed_weight_bytes / (reach.weight_bandwidth * bandwidth),
        compute_per_token_s=shape.flops_per_token / (reach.compute * rate)
        + reductions * token_bytes * reach.allreduce_per_byte_s,
        kernel_s=reach.kernel_per_layer_s * shape.layers + reductions * reach.allreduce_s,
        kernel_per_seq_s=reach.kernel_per_logit_s * shape.vocab,
        per_context_token_s=shape.kv_bytes_per_token / (kv_reach * bandwidth),
        prefill_step_s=reach.prefill_step_s,
        launch_s=reach.launch_per_layer_s * shape.layers,
        hidden_host_per_seq_s=reach.hidden_host_per_seq_s,
        prefill_per_attention_s=shape.attention_flops_per_pair / (reach.attention * rate),
        lora_s=LORA_FIXED_S * layer_share,
        lora_per_slot_s=LORA_PER_SLOT_S * layer_share,
        lora_per_adapter_s=LORA_PER_ADAPTER_S * layer_share,
        lora_per_prefill_token_s=LORA_PER_PREFILL_TOKEN_S * layer_share,
        lora_per_slot_token_s=LORA_PER_SLOT_TOKEN_S * layer_share,
        lora_rank_share=LORA_RANK_SHARE,
        scheduler_per_waiting_s=_SCAN_S,
        lora_large_step_share=LORA_LARGE_STEP_SHARE[generation],
        lora_per_rank_token_s=LORA_PER_RANK_TOKEN_S[generation] * layer_share,
    )
