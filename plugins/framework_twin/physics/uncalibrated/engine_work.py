"""The engine's own work around the kernels: host, launches, sampling, streaming; few numbers a release.

Operators and the roofline price kernels. What an engine adds is a constant and a part per sequence of a step, more
with several accelerators or with prompts in the step, and layers of experts that a release runs as many small
kernels. Fitted on published runs (docs/accuracy.md has the errors with whole models and accelerators left out).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

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
        reduction_s: more of it for each layer that a tensor-parallel group reduces.
        sequence_s: for each sequence of a step: scheduling, streaming.
        sampler_s: for each sequence and entry of the vocabulary: top-p and top-k sampling sort all logits.
        context_s: for each token of context in a step: the tables of cache blocks are built anew.
        prompt_step_s: more of a step that holds prompt tokens.
        prompt_layer_s: more of such a step for each layer: no whole graph of it is replayed.
        expert_layer_s: of each layer with routed experts, whatever the batch.
        fp8_layer_s: more of it where the experts are in fp8: activations are quantised in blocks first.
        kernels, kernels_ampere, kernels_blackwell, kernels_mxfp4_blackwell: factors on the kernels' time: this
            release against the one that the tables were measured with.
        attend: factor on the start-up of decode attention.
        front_end_s: from the client to the engine and back.
        tail: of a leaderboard that averages over whole runs: requests missing from the stated batch while a run ends,
            as a share of batch² / √(tokens of an answer).
    """

    host_s: float
    spread_s: float = 0.0
    parallel_s: float = 0.0
    data_s: float = 0.0
    reduction_s: float = 0.0
    sequence_s: float = 0.0
    sampler_s: float = 0.0
    context_s: float = 0.0
    prompt_step_s: float = 0.0
    prompt_layer_s: float = 0.0
    expert_layer_s: float = 0.0
    fp8_layer_s: float = 0.0
    kernels: float = 1.0
    kernels_ampere: float = 1.0
    kernels_blackwell: float = 1.0
    kernels_mxfp4_blackwell: float = 1.0
    attend: float = 1.0
    front_end_s: float = 6e-3
    tail: float = 0.0

    def host(self, shape: ModelShape, deployment: Deployment) -> float:
        """Return seconds of host work in every step of a deployment."""
        further = deployment.gpus - 1
        return float(
            self.host_s
            + self.spread_s * further**0.5
            + self.parallel_s * (further > 0)
            + self.reduction_s * shape.layers * (deployment.tensor > 1)
            + self.data_s * (deployment.data > 1)
            + self.expert_layer_s * shape.moe_layers * (not shape.kv_rank)
            + self.fp8_layer_s * shape.moe_layers * (_expert_type(shape) == "fp8")
        )

    def prompts(self, shape: ModelShape) -> float:
        """Return seconds that a step with prompt tokens takes beside its kernels."""
        return self.prompt_step_s + self.prompt_layer_s * shape.layers

    def kernel_factor(self, shape: ModelShape, gpu: GpuSpec) -> float:
        """Return the factor on the kernels' time."""
        factor = self.kernels
        blackwell = gpu.architecture.startswith("blackwell")
        if gpu.architecture == "ampere":
            factor *= self.kernels_ampere
        if blackwell:
            factor *= self.kernels_blackwell
        if blackwell and shape.experts and _expert_type(shape) == "mxfp4":
            factor *= self.kernels_mxfp4_blackwell
        return factor

    def around(self, tables: StepTables, shape: ModelShape, gpu: GpuSpec) -> StepTables:
        """Return tables with this release's kernels."""
        return replace(
            tables,
            products_s=tables.products_s * self.kernel_factor(shape, gpu),
            attend_s=self.attend * tables.attend_s,
        )

    def sampling_s(self, shape: ModelShape) -> float:
        """Return seconds of sampling one sequence's token, on the accelerator."""
        return 0.0 if shape.family in _PLAIN_SAMPLING else self.sampler_s * shape.vocab


def _expert_type(shape: ModelShape) -> str:
    word = shape.expert_type or shape.weight_type
    return number_type(word).name if word else "bf16"


_PLAIN_SAMPLING = ("gpt-oss",)
"""Families whose published generation settings hold neither top-p nor top-k, which servers apply by default."""

WORK_FILE = Path(__file__).with_name("engine_work.json")
"""Release to its numbers that differ from the defaults, as benchmarks/engine_work_fit.py writes them.

v0: 2024, one batch through the Python interface, no server; by class of accelerator outside NVIDIA. v0-server: 2024,
engine and HTTP server share a process. v1-0.11: 0.8 to 0.11, a core of its own behind the server. v1: since 0.12,
scheduling overlaps with the accelerator.
"""


@cache
def engine_works() -> dict[str, EngineWork]:
    """Return release of the engine to its work."""
    content = json.loads(WORK_FILE.read_text(encoding="utf-8"))
    return {release: EngineWork(**{"host_s": 0.0, **numbers}) for release, numbers in content.items()}


def release_of(generation: str, version: str | None, *, server: bool = True, architecture: str = "") -> str:
    """Return the key of `engine_works` for an engine generation and version (`0.11.1`; None: today's)."""
    if generation == "v0" and f"v0-{architecture}" in engine_works():
        return f"v0-{architecture}"
    if generation == "v0":
        return "v0-server" if server and version and version.startswith("2024") else "v0"
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    if found and (int(found[1]), int(found[2])) < (0, 12):
        return "v1-0.11"
    return "v1"
