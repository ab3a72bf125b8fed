"""The engine's own work around the kernels: host, launches, sampling, streaming; few numbers a release.

Operators and the roofline price kernels. What an engine adds is a constant and a part per sequence of a step, more
with several accelerators or with prompts in the step, and layers of experts that a release runs as many small
kernels. Fitted on published runs (docs/accuracy.md has the errors with whole models and accelerators left out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.number_types import number_type
from framework_twin.physics.uncalibrated.deployment import Deployment
from framework_twin.physics.uncalibrated.step_tables import StepTables


@dataclass(frozen=True)
class EngineWork:
    """What one release of the engine adds; seconds.

    Attributes:
        host_s: of every step.
        spread_s: more of it for each further accelerator, growing with the root of their number.
        parallel_s: more of it as soon as there are several accelerators.
        data_s: more of it where data-parallel ranks wait for each other.
        sequence_s: for each sequence of a step: scheduling, sampling, streaming.
        root_sequence_s: times the root of the sequences: work that larger batches share.
        prompt_step_s: more of a step that holds prompt tokens.
        expert_layer_s: of each layer with routed experts, whatever the batch.
        kernels, kernels_blackwell, kernels_fp8_experts, kernels_mxfp4_blackwell: factors on the kernels' time: this
            release against the one that the tables were measured with.
        front_end_s: from the client to the engine and back.
        decoding: share of the running requests that get a token in a step; the others wait for their prompts.
        together: share of closed-loop requests that find the others at the same point, as all do at the start.
    """

    host_s: float
    spread_s: float = 0.0
    parallel_s: float = 0.0
    data_s: float = 0.0
    sequence_s: float = 0.0
    root_sequence_s: float = 0.0
    prompt_step_s: float = 0.0
    expert_layer_s: float = 0.0
    kernels: float = 1.0
    kernels_blackwell: float = 1.0
    kernels_experts: float = 1.0
    kernels_fp8_experts: float = 1.0
    kernels_mxfp4_blackwell: float = 1.0
    kernels_recurrent: float = 1.0
    front_end_s: float = 6e-3
    together: float = 0.12
    decoding: float = 1.0

    def host(self, shape: ModelShape, deployment: Deployment) -> float:
        """Return seconds of host work in every step of a deployment."""
        further = deployment.gpus - 1
        return float(
            self.host_s
            + self.spread_s * further**0.5
            + self.parallel_s * (further > 0)
            + self.data_s * (deployment.data > 1)
            + self.expert_layer_s * shape.moe_layers * (not shape.kv_rank)
        )

    def kernel_factor(self, shape: ModelShape, gpu: GpuSpec) -> float:
        """Return the factor on the kernels' time."""
        factor = self.kernels
        blackwell = gpu.architecture.startswith("blackwell")
        if blackwell:
            factor *= self.kernels_blackwell
        if shape.linear_layers:
            factor *= self.kernels_recurrent
        if shape.experts:
            word = shape.expert_type or shape.weight_type
            kind = number_type(word).name if word else "bf16"
            factor *= self.kernels_experts
            factor *= self.kernels_fp8_experts if kind == "fp8" else 1.0
            factor *= self.kernels_mxfp4_blackwell if blackwell and kind == "mxfp4" else 1.0
        return factor

    def around(self, tables: StepTables, shape: ModelShape, gpu: GpuSpec) -> StepTables:
        """Return tables with this release's kernels and its work that is not proportional to the batch."""
        return replace(
            tables,
            products_s=tables.products_s * self.kernel_factor(shape, gpu),
            attend_s=tables.attend_s + self.root_sequence_s * np.sqrt(tables.tokens),
        )


ENGINE_WORK = {
    # 2024, one batch through the Python interface, no server
    "v0": EngineWork(0.72e-3, parallel_s=2.7e-3, sequence_s=63e-6, prompt_step_s=11e-3),
    "v0-cdna2": EngineWork(2.97e-3, parallel_s=1.44e-3, sequence_s=66e-6),
    "v0-cdna3": EngineWork(0.0, parallel_s=1.03e-3, prompt_step_s=0.79),
    "v0-xe-hpc": EngineWork(0.0, sequence_s=2.18e-3, prompt_step_s=10e-3),
    # 2024, HTTP server: the engine and the server share one process
    "v0-server": EngineWork(
        0.0, spread_s=15e-3, sequence_s=139e-6, root_sequence_s=2.87e-3, kernels=1.05, decoding=0.84
    ),
    # 2025, 0.8 to 0.11: a core of its own behind the server
    "v1-0.11": EngineWork(
        0.12e-3,
        parallel_s=0.05e-3,
        data_s=10e-3,
        sequence_s=37e-6,
        prompt_step_s=28e-3,
        expert_layer_s=80e-6,
        kernels=1.02,
        kernels_blackwell=1.05,
        kernels_experts=0.88,
        kernels_fp8_experts=1.44,
        kernels_mxfp4_blackwell=0.75,
        kernels_recurrent=1.05,
    ),
    # since 0.12: scheduling overlaps with the accelerator
    "v1": EngineWork(
        0.57e-3,
        parallel_s=0.3e-3,
        data_s=5.6e-3,
        sequence_s=4.2e-6,
        prompt_step_s=13.8e-3,
        expert_layer_s=1.5e-6,
        kernels=0.96,
        kernels_blackwell=0.97,
        kernels_experts=0.965,
        kernels_fp8_experts=1.356,
        kernels_mxfp4_blackwell=0.9,
        front_end_s=25e-3,
    ),
}
"""Release of the engine to its work."""


def release_of(generation: str, version: str | None, *, server: bool = True, architecture: str = "") -> str:
    """Return the key of `ENGINE_WORK` for an engine generation and version (`0.11.1`; None: today's)."""
    if generation == "v0" and f"v0-{architecture}" in ENGINE_WORK:
        return f"v0-{architecture}"
    if generation == "v0":
        return "v0-server" if server and version and version.startswith("2024") else "v0"
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    if found and (int(found[1]), int(found[2])) < (0, 12):
        return "v1-0.11"
    return "v1"
