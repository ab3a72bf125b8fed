"""An engine of known capacity: a factor on the rough estimate, and boundaries as a simulation would find them."""

from __future__ import annotations

from typing import Any

import numpy as np

from framework_serving.advice.capacity.boundary import Boundary, Point
from framework_serving.advice.capacity.capacity_data import LABEL_SLOTS, MOST, CapacityData, Example
from framework_serving.advice.capacity.capacity_features import rows_of
from framework_serving.advice.capacity.engine_probes import EngineProbe
from framework_serving.advice.capacity.population_draws import draw
from framework_serving.advice.capacity.step_estimate import StepEstimate
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation

STEPS = StepEstimate(0.013, 3.3e-5, 5e-4, 1e-7, 2.8e-8, 4.5e-5, 2048)
KV = {
    rank: {s: 3e5 - 44.0 * s * rank for s in (1, 64, 128, 256) if s * rank < 6000} for rank in (8, 16, 32, 64)
}
ENGINE = EngineProbe("known", "a model", "a GPU", 12_000.0, STEPS, KV, {64: "128 slots: no memory is left"})


def true_factor(rate: float, rank: float) -> float:
    """What the rough estimate has to be multiplied by."""
    return 0.8 * (1.1 if rate > 0.1 else 0.9) * (0.9 if rank > 16 else 1.0)


def capacity_tok_s(
    workload: dict[str, Any], adapters: int, slots: int, engine: EngineProbe = ENGINE
) -> float:
    population = WorkloadPopulation(workload).adapters(adapters)
    estimate = rows_of(population, np.array([float(slots)]), engine).estimate_tok_s[0]
    return float(estimate) * true_factor(population.rate_rps.mean(), float(population.rank.max()))


def boundary(workload: dict[str, Any], slots: int) -> Boundary:
    if slots > ENGINE.most_slots(float(max(workload["ranks"]))):
        return Boundary(slots, 0, None, ())
    population = WorkloadPopulation(workload)

    def share(n: int) -> float:
        ratio = float(population.adapters(n).load_tok_s.sum()) / capacity_tok_s(workload, n, slots)
        return 0.9 / ratio if ratio > 0.9 else 1.0

    low, high = 0, MOST + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if share(middle) >= 0.9 else (low, middle)
    points = [Point(n, slots, share(n), 1000.0 * n) for n in (low, high) if 0 < n <= MOST]
    return Boundary(slots, low, high if high <= MOST else None, tuple(points))


def known_data(populations: int) -> CapacityData:
    examples = []
    for index in range(populations):
        workload = draw(index)
        found = tuple(boundary(workload, slots) for slots in LABEL_SLOTS)
        examples.append(Example("known", index, workload, found, 0.0))
    return CapacityData({"known": ENGINE}, tuple(examples), "hash")
