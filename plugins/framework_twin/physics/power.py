"""Power and energy of a simulated run, from how much the GPU did.

Mean power is idle power, plus watts while kernels run, plus joules for each token computed and for each
token of context read. Rates and not time shares: a memory-bound step draws more the more of the bandwidth
it uses. Fitted on `measured_power_mean_w` of the memory_gap runs; see docs/twin_physics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.kernel.inputs import Requests
from framework_twin.kernel.output import SimulationOutput

_KERNELS = ("weights", "compute", "prefill", "lora", "kv")

# Shares of the board's power limit and energies per operation, rounded from the calibrated profiles.
_IDLE_SHARE = 0.165
_BUSY_SHARE = 0.27
_JOULES_PER_FLOP = 1.1e-12
_JOULES_PER_KV_BYTE = 70e-12


@dataclass(frozen=True)
class Activity:
    """What one GPU did, averaged over a run.

    Attributes:
        busy_share: share of the time in which kernels run, 0–1.
        tokens_s: prompt and generated tokens computed per second.
        context_tokens_s: tokens of context read by decode attention per second.
        steps_s: steps per second.
        sampled_s: tokens sampled per second.
    """

    busy_share: float
    tokens_s: float
    context_tokens_s: float
    steps_s: float = 0.0
    sampled_s: float = 0.0


@dataclass(frozen=True)
class PowerCoefficients:
    """Watts and joules of a model on one GPU.

    Attributes:
        idle_w: with the model loaded and nothing to do.
        busy_w: added while kernels run.
        token_j: joules of computing one token.
        context_token_j: joules of reading one token of context.
    """

    idle_w: float
    busy_w: float
    token_j: float
    context_token_j: float

    def mean_w(self, activity: Activity) -> float:
        """Return mean watts of a GPU with this activity."""
        work = self.token_j * activity.tokens_s + self.context_token_j * activity.context_tokens_s
        return self.idle_w + self.busy_w * activity.busy_share + work


def activity(output: SimulationOutput, requests: Requests, gpus: int = 1) -> Activity:
    """Return the mean activity of each of the GPUs behind a simulation; replicas are spread over them evenly.

    Context is counted from tokens: a request with p prompt tokens that generated g tokens attended to
    p + 1 … p + g − 1 tokens in its decode steps.
    """
    generated = output.requests.generated_tokens.astype(np.float64)
    decodes = np.maximum(generated - 1.0, 0.0)
    context = decodes * (np.asarray(requests.input_tokens) + 0.5 * generated)
    kernels_s = sum(output.component_s.get(name, 0.0) for name in _KERNELS)
    tokens = output.prompt_tokens + output.generated_tokens
    return Activity(
        busy_share=min(1.0, kernels_s / gpus / output.duration_s),
        tokens_s=tokens / gpus / output.duration_s,
        context_tokens_s=float(context.sum()) / gpus / output.duration_s,
        steps_s=output.steps / gpus / output.duration_s,
        sampled_s=output.generated_tokens / gpus / output.duration_s,
    )


def datasheet_power(shape: ModelShape, gpu: GpuSpec) -> PowerCoefficients:
    """Return uncalibrated power: shares of the board's limit, energy per operation and per byte."""
    return PowerCoefficients(
        idle_w=_IDLE_SHARE * gpu.tdp_w,
        busy_w=_BUSY_SHARE * gpu.tdp_w,
        token_j=_JOULES_PER_FLOP * shape.flops_per_token,
        context_token_j=_JOULES_PER_KV_BYTE * shape.kv_bytes_per_token,
    )


def energy_j(mean_w: float, duration_s: float) -> float:
    """Return joules of a window of `duration_s` at `mean_w`."""
    return mean_w * duration_s
