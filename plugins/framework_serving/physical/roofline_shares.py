"""Where a run's time goes, and how far from the GPU's roofs its kernels are.

For runs whose backend reports the share of time in each part of a step and the memory traffic (metrics
`time_*_share`, `dram_read_tb_s`; the digital twin does). Arithmetic intensity comes from the model's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework_serving.hardware.model_shape import ModelShape
from framework_serving.sweeps.sweep_points import SweepPoint

if TYPE_CHECKING:
    from framework.contracts import StoreReader

PARTS: tuple[tuple[str, str], ...] = (
    ("time_host_share", "host"),
    ("time_weights_share", "weights read"),
    ("time_compute_share", "products beyond that, small kernels"),
    ("time_prefill_share", "prompts' attention and launches"),
    ("time_lora_share", "adapters"),
    ("time_kv_share", "keys and values read"),
    ("time_idle_share", "idle"),
)
"""Metric and name of each part of the time, in the order in which they are stacked."""


@dataclass(frozen=True)
class Kernels:
    """One class of kernels of a run, over the whole run.

    Attributes:
        flops: operations, a multiply-add counted as two.
        bytes: memory traffic.
        seconds: time in these kernels.
    """

    flops: float
    bytes: float
    seconds: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.flops / self.bytes

    @property
    def tflops(self) -> float:
        """10^12 operations per second reached."""
        return self.flops / self.seconds / 1e12


@dataclass(frozen=True)
class RunPhysics:
    """Decode attention and matrix products of one run on one GPU."""

    point: SweepPoint
    attention: Kernels
    products: Kernels


def activation_bytes_per_token(shape: ModelShape) -> float:
    """Return the bytes of inputs and outputs that the matrix products of one token read and write."""
    return float((shape.lora_dims_per_rank + shape.hidden + shape.vocab) * shape.dtype_bytes)


def run_physics(store: StoreReader, points: Sequence[SweepPoint]) -> list[RunPhysics]:
    """Return the kernels of each single engine on one GPU that reports its time and traffic, in the points' order.

    Context is counted from tokens: a request of p prompt tokens that generated g attended to p + 1 … p + g − 1.
    """
    wanted = {point.run_ids[0]: point for point in points if _told(point)}
    if not wanted:
        return []
    rows = store.query(
        "SELECT run_id, sum(input_tokens + output_tokens)::DOUBLE AS tokens, "
        "sum(greatest(output_tokens - 1, 0) * (input_tokens + 0.5 * output_tokens))::DOUBLE AS context "
        "FROM requests WHERE run_id IN (SELECT unnest(?)) AND status = 'finished' GROUP BY run_id",
        [list(wanted)],
    ).to_pylist()
    counted = {row["run_id"]: (row["tokens"], row["context"]) for row in rows}
    found = [_kernels(point, *counted[run_id]) for run_id, point in wanted.items() if run_id in counted]
    return [item for item in found if item is not None]


def _told(point: SweepPoint) -> bool:
    names = ("time_kv_share", "time_weights_share", "time_compute_share", "dram_read_tb_s", "duration_s")
    single = point.replicas == 1 and (point.number("backend.tensor_parallel", 1.0) or 1.0) == 1.0
    return single and all(point.value(name) is not None for name in names)


def _kernels(point: SweepPoint, tokens: float, context: float) -> RunPhysics | None:
    shape = point.shape
    if shape is None or not tokens or not context:
        return None
    duration_s = point.metrics["duration_s"].value
    share = {name: point.metrics[f"time_{name}_share"].value for name in ("kv", "weights", "compute")}
    kv_bytes = context * shape.kv_bytes_per_token
    weight_bytes = point.metrics["dram_read_tb_s"].value * 1e12 * duration_s - kv_bytes
    if min(share["kv"], share["weights"], weight_bytes) <= 0:
        return None
    return RunPhysics(
        point,
        Kernels(context * shape.attention_flops_per_pair, kv_bytes, share["kv"] * duration_s),
        Kernels(
            tokens * shape.flops_per_token,
            weight_bytes + tokens * activation_bytes_per_token(shape),
            (share["weights"] + share["compute"]) * duration_s,
        ),
    )


def decode_time_shares(store: StoreReader, point: SweepPoint) -> dict[str, float] | None:
    """Return the shares of *decode* time, %, of a lock-step run: `attention`, `host`, `products` (small kernels too).

    The twin states shares of the whole run. Before the last first token a lock-step run only prefills, and that
    time is products (arXiv 2503.08311 measured under 5 % of the run), so it is taken out of these. None if the
    run does not report.
    """
    parts = {name: point.value(name) for name, _ in PARTS}
    (row,) = store.query(
        "SELECT max(first_token_s) / max(last_token_s) AS share FROM requests WHERE run_id = ?",
        [point.run_ids[0]],
    ).to_pylist()
    prefill = row["share"]
    if prefill is None or prefill >= 1 or any(value is None for value in parts.values()):
        return None
    known = {name: value for name, value in parts.items() if value is not None}
    scale = 100 / (1 - prefill)
    products = known["time_weights_share"] + known["time_compute_share"] + known["time_prefill_share"]
    return {
        "attention": scale * known["time_kv_share"],
        "host": scale * known["time_host_share"],
        "products": scale * (products - prefill),
    }
