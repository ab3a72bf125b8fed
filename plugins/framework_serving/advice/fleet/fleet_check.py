"""Every GPU of a plan simulated with its adapters, and the plan made looser until none starves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from framework.contracts import BatchBackend, BatchJob, Json, WorkloadTables
from framework_serving import tables
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.capacity.boundary import Point, as_point
from framework_serving.advice.capacity.capacity_features import WINDOW_S
from framework_serving.advice.fleet.fleet_plan import FleetPlan, PlacedGpu
from framework_serving.advice.fleet.gpu_types import Packer
from framework_serving.metrics.shared_rules import STARVED_BELOW
from framework_serving.workloads.synthetic import requests_table, stream, workload_tables

_TRIES = 6
_TIGHTER = 0.98


@dataclass(frozen=True)
class CheckedPlan:
    """A plan, and what simulations say of each of its GPUs; `tries`: plans that were simulated."""

    plan: FleetPlan
    points: tuple[Point, ...]
    tries: int

    @property
    def starving(self) -> list[int]:
        """Places of GPUs that starve or do not start."""
        return [place for place, point in enumerate(self.points) if not point.serves]


def checked_plan(
    packer: Packer,
    make: Callable[[Packer], FleetPlan],
    adapters: Adapters,
    backend: BatchBackend,
    settings: Mapping[str, Mapping[str, Json]],
    seed: int = 0,
) -> CheckedPlan:
    """Make a plan and simulate it; where a GPU starves, use less of what was learned for its type, and again.

    Args:
        packer: asks the model.
        make: packer → plan.
        adapters: that are placed.
        backend: simulates.
        settings: GPU type → settings of its engine.
        seed: of the arrivals.
    """
    tries = 0
    while True:
        plan = make(packer)
        points = simulate_plan(plan.gpus, adapters, backend, settings, seed)
        tries += 1
        found = CheckedPlan(plan, points, tries)
        if not found.starving or tries >= _TRIES:
            return found
        fill = dict(packer.fill)
        for place in found.starving:
            name = plan.gpus[place].kind.name
            share = max(points[place].share or 0.5, 0.5)
            least = min(_TIGHTER, share / STARVED_BELOW)
            fill[name] = min(fill.get(name, 1.0), packer.fill.get(name, 1.0) * least)
        packer = replace(packer, fill=fill)


def simulate_plan(
    gpus: Sequence[PlacedGpu],
    adapters: Adapters,
    backend: BatchBackend,
    settings: Mapping[str, Mapping[str, Json]],
    seed: int = 0,
) -> tuple[Point, ...]:
    """Simulate one hour of each GPU."""
    jobs = []
    for place, gpu in enumerate(gpus):
        own = settings[gpu.kind.name]
        limit = int(own.get("max_model_len") or 0) or None
        workload = poisson_hour(adapters.some(gpu.adapters), seed + place, limit)
        jobs.append(BatchJob({**own, "max_loras": gpu.slots}, workload))
    points: dict[int, Point] = {}
    for index, result in backend.run_batch(jobs):
        gpu = gpus[index]
        points[index] = as_point(len(gpu.adapters), gpu.slots, jobs[index].workload, result)
    return tuple(points[place] for place in range(len(gpus)))


def poisson_hour(adapters: Adapters, seed: int, longest: int | None) -> WorkloadTables:
    """Return an hour of requests at the adapters' rates, tokens by gamma laws of their moments.

    Args:
        adapters: each keeps its rate, rank and lengths.
        seed: same seed, same requests.
        longest: most tokens of a request, input and output; a longer one is cut.
    """
    import pyarrow as pa

    rng = stream(seed, "requests of a plan")
    counts = rng.poisson(adapters.rate_rps * WINDOW_S)
    if not counts.any():  # rarer than once an hour: one request all the same
        counts[int(np.argmax(adapters.rate_rps))] = 1
    owners = np.repeat(np.arange(len(adapters)), counts)
    times = rng.uniform(0.0, WINDOW_S, len(owners))
    order = np.argsort(times, kind="stable")
    times, owners = np.round(times[order], 6), owners[order]
    limit = longest or 2**20
    inputs = _tokens(rng, adapters.input_mean[owners], adapters.input_std[owners], limit // 2)
    outputs = np.minimum(
        _tokens(rng, adapters.output_mean[owners], adapters.output_std[owners], limit - 1), limit - inputs
    )
    begin = times[0] if len(times) else 0.0
    listed = pa.table(
        [list(range(len(adapters))), adapters.rank.astype(np.int64), adapters.rate_rps],
        schema=tables.adapters(),
    )
    return workload_tables(
        requests_table(times - begin, inputs, outputs, owners), listed, {"horizon_s": WINDOW_S}
    )


def _tokens(rng: np.random.Generator, mean: np.ndarray, std: np.ndarray, most: int) -> np.ndarray:
    spread = np.maximum(std, 1e-3 * mean)
    shape = (mean / spread) ** 2
    drawn: np.ndarray = np.clip(np.round(rng.gamma(shape, mean / shape)), 1, most).astype(np.int64)
    return drawn
