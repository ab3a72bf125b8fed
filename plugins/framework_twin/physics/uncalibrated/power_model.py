"""Watts of an accelerator by chip generation, from what it does: kernels, bytes moved, operations.

Shares of the board's limit while the model is loaded, while kernels run and at the full rate of products, and joules
for each byte of memory moved and each logit that a token is sampled from: softmax and sorting pass over all of them
many times, on every accelerator of a tensor-parallel group. The part of the products grows with the root of the rate,
since a chip that multiplies more lowers its clock. Experts whose few rows are padded to a tile multiply the padding,
too; a recurrent state is read and written for each token. Fitted on measured watts and joules of A100, H100 and B200
by benchmarks/power_fit.py (docs/accuracy.md has the errors with groups left out).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.number_types import number_type
from framework_twin.physics.power import Activity
from framework_twin.physics.uncalibrated.deployment import Deployment

SHARES_FILE = Path(__file__).with_name("power_shares.json")
ANY_GENERATION = "*"
"""Key of the shares of a generation that no run with watts is known of: those of all generations together."""
_MOST = 0.97
"""Share of the limit that the busiest of the fitted runs drew."""
_TILE_ROWS = {"fp8": 128}
_OTHER_TILE_ROWS = 16
"""Rows that the kernels pad an expert's tokens to, by number type of the experts."""


@dataclass(frozen=True)
class PowerShares:
    """Shares of the board's power limit: at rest, and added by running kernels and by products.

    `byte_pj` is picojoules of moving a byte from memory; `padding` the energy of an operation on padding against that
    of one on a token; `logit_nj` nanojoules of sampling for each token and entry of the vocabulary.
    """

    rest: float
    kernels: float
    byte_pj: float
    products: float
    padding: float
    logit_nj: float

    def watts(self, done: Utilisation, limit_w: float) -> float:
        """Return watts of a board with this power limit."""
        rate = done.products + self.padding * done.padding
        share = self.rest + self.kernels * done.busy + self.products * rate**0.5
        moved_w = self.byte_pj * 1e-12 * done.bytes_s + self.logit_nj * 1e-9 * done.logits_s
        return float(min(_MOST * limit_w, share * limit_w + moved_w))


class Utilisation(NamedTuple):
    """Share of the time with kernels, bytes per second, shares of the peak 16-bit rate on tokens and on padding, and
    logits sampled from per second."""

    busy: float
    bytes_s: float
    products: float
    padding: float
    logits_s: float


@cache
def power_shares() -> dict[str, PowerShares]:
    """Return chip generation to its shares."""
    content = json.loads(SHARES_FILE.read_text(encoding="utf-8"))
    return {name: PowerShares(**numbers) for name, numbers in content.items()}


def shares_of(gpu: GpuSpec) -> PowerShares:
    """Return the shares of an accelerator's generation."""
    shares = power_shares()
    return shares.get(gpu.architecture, shares[ANY_GENERATION])


def board_watts(shape: ModelShape, gpu: GpuSpec, spread: Deployment, done: Activity) -> float:
    """Return mean watts of one accelerator of a replica (of one rank, with data parallelism), at most its limit."""
    return shares_of(gpu).watts(utilisation(shape, gpu, spread, done), gpu.tdp_w)


def utilisation(shape: ModelShape, gpu: GpuSpec, spread: Deployment, done: Activity) -> Utilisation:
    """Return what a replica's activity takes of each of its accelerators."""
    within = spread.tensor * spread.pipeline
    tokens_step = done.tokens_s / done.steps_s if done.steps_s else 1.0
    routed = shape.routed_params * shape.expert_weight_bytes_each
    reached = padded = 0.0
    if shape.experts:
        everyone = tokens_step * spread.data
        touched = shape.experts * (1.0 - (1.0 - shape.experts_per_token / shape.experts) ** everyone)
        reached = routed * touched / shape.experts / spread.data
        kind = number_type(shape.expert_type or shape.weight_type or "bf16").name
        rows = touched * _TILE_ROWS.get(kind, _OTHER_TILE_ROWS)
        spare = max(0.0, rows - everyone * shape.experts_per_token) / spread.data
        padded = 2.0 * shape.routed_params / shape.experts * spare * done.steps_s
    weights = (shape.streamed_weight_bytes - routed + reached) * done.steps_s / within
    cache_bytes = done.context_tokens_s * shape.kv_bytes_per_token * spread.kv_copies(shape) / within
    state_bytes = 2.0 * shape.state_bytes * done.sampled_s / within
    pairs = done.context_tokens_s * shape.attention_flops_per_pair
    rate = within * gpu.fp16_tflops * 1e12
    return Utilisation(
        done.busy_share,
        weights + cache_bytes + state_bytes,
        (done.tokens_s * shape.flops_per_token + pairs) / rate,
        padded / rate,
        done.sampled_s * shape.vocab / spread.pipeline,
    )
