"""How near plans for many adapters are to the lower bound, and how long they take, by a learned model.

    python benchmarks/adapter_placement.py outputs/adapter_capacity/model.json [CASES]

Each case draws a number of adapters (20 to 1,000), a mean rate, its spread, and ranks of 8, 16 and 32. Then the time
of one plan for 1,000 adapters, and re-placement when each rate drifts by 20 %.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.fleet.fleet_bound import lower_bound
from framework_serving.advice.fleet.fleet_plan import plan_fleet
from framework_serving.advice.fleet.gpu_types import GpuType, Packer
from framework_serving.advice.fleet.replanning import replan

DRIFTED = 8
"""One case in so many is placed again after a drift."""


def main(file: str, cases: int) -> None:
    model = CapacityModel.load(Path(file))
    engine = next(iter(model.engines.values()))
    kinds, packer = [GpuType(engine.gpu, 1.0, engine)], Packer(model, (0.0, 0.0), {})
    rng = np.random.default_rng(0)
    above, seconds, moved, extra = [], [], [], []
    while len(above) < cases:
        adapters = drawn(rng, int(rng.integers(20, 1001)))
        began = time.process_time()
        try:
            plan = plan_fleet(packer, kinds, adapters)
        except UserError:  # one adapter alone is too much
            continue
        seconds.append(time.process_time() - began)
        above.append(len(plan.gpus) - math.ceil(lower_bound(packer, kinds, adapters) - 1e-6))
        if len(above) % DRIFTED:
            continue
        rates = adapters.rate_rps * np.exp(rng.normal(0.0, 0.2, len(adapters)))
        changed = replace(adapters, rate_rps=rates)
        try:
            again, fresh = replan(packer, kinds, changed, plan.gpus), plan_fleet(packer, kinds, changed)
        except UserError:
            continue
        moved.append(len(again.moves) / len(adapters))
        extra.append(len(again.plan.gpus) - len(fresh.gpus))
    within = sum(item <= 1 for item in above) / cases
    near = f"{100 * within:.1f} % within one GPU of the lower bound, most {max(above)} above"
    print(f"{cases} cases on {engine.gpu}: {near}")
    print(
        f"a plan takes {median(seconds):.3f} s of processor time in the median, {max(seconds):.3f} s at most"
    )
    print(
        f"after a drift of 20 %: {100 * median(moved):.1f} % of the adapters move in the median, "
        f"{100 * max(moved):.1f} % at most; GPUs more than a new plan has: {max(extra)} at most"
    )
    big = drawn(rng, 1000, 0.3)
    began = time.process_time()
    plan = plan_fleet(packer, kinds, big)
    print(f"1,000 adapters: {len(plan.gpus)} GPUs in {time.process_time() - began:.3f} s")


def drawn(rng: np.random.Generator, n: int, mean: float | None = None) -> Adapters:
    middle = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5)))) if mean is None else mean
    rates = middle * np.exp(rng.normal(0.0, rng.uniform(0.0, 1.3), n))
    one = np.ones(n)
    ranks = rng.choice([8, 16, 32], n).astype(np.float64)
    return Adapters(rates, ranks, 222.6 * one, 246.5 * one, 198.6 * one, 206.0 * one, 0.0 * one)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("cases", type=int, nargs="?", default=200)
    given = parser.parse_args()
    main(given.model, given.cases)
