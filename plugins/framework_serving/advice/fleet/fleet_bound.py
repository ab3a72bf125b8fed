"""A cost that no plan can be below.

Let h(R, r) be the most adapters of mean rate r that one GPU serves when its largest rank is R. Give each adapter of
rank R and rate x the weight a(R) + b(R)·x, a and b not negative and not falling in R, a(R) + b(R)·r ≤ 1 / h(R, r)
for all r. Then the weights on any GPU that is not overloaded sum to at most 1, and the sum over all adapters is at
most the number of GPUs. The best weights are a linear program with two unknowns a rank (the dual of the packing).
Capacity is taken to depend on the rates by their mean, at the more favourable of no spread and the population's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework_serving.advice.capacity.adapter_sums import SUMS, Adapters, FloatArray
from framework_serving.advice.capacity.capacity_features import CapacityRows
from framework_serving.advice.fleet.gpu_types import SLOT_CHOICES, GpuType, Packer

_RATES = 30


def lower_bound(packer: Packer, kinds: Sequence[GpuType], adapters: Adapters) -> float:
    """Return the bound on the cost; adapters without load still need a GPU. Each must fit on one by itself."""
    from scipy.optimize import linprog

    cheapest = min(kind.cost for kind in kinds)
    adapters = adapters.some(adapters.rate_rps > 0)
    if not len(adapters):
        return cheapest
    ranks = np.unique(adapters.rank)
    rates = _rate_grid(adapters)
    rows, limits = [], []
    for place, rank in enumerate(ranks):
        least = np.full(len(rates), np.inf)
        for kind in kinds:
            most = np.maximum(
                _most(packer, kind, adapters, float(rank), rates, False),
                _most(packer, kind, adapters, float(rank), rates, True),
            )
            least = np.minimum(least, kind.cost / np.maximum(most, 1e-9))
        for rate, limit in zip(rates, least, strict=True):
            row = np.zeros(2 * len(ranks))
            row[2 * place], row[2 * place + 1] = 1.0, rate
            rows.append(row)
            limits.append(limit)
        if place:
            for offset in (0, 1):
                row = np.zeros(2 * len(ranks))
                row[2 * (place - 1) + offset], row[2 * place + offset] = 1.0, -1.0
                rows.append(row)
                limits.append(0.0)
    gain = np.zeros(2 * len(ranks))
    for place, rank in enumerate(ranks):
        mine = adapters.rank == rank
        gain[2 * place], gain[2 * place + 1] = mine.sum(), adapters.rate_rps[mine].sum()
    solved = linprog(-gain, A_ub=np.array(rows), b_ub=np.array(limits), bounds=(0, None))
    weights = float(gain @ solved.x) if solved.success else 0.0
    return max(weights, cheapest)


def _rate_grid(adapters: Adapters) -> FloatArray:
    low, high = adapters.rate_rps.min(), adapters.rate_rps.max()
    grid: FloatArray = np.geomspace(low, high, _RATES) if high > low * 1.001 else np.array([low])
    return grid


def _most(
    packer: Packer, kind: GpuType, adapters: Adapters, rank: float, rates: FloatArray, spread: bool
) -> FloatArray:
    """Return how many adapters of each mean rate one GPU serves, at the largest capacity of any number of them."""
    whole = adapters.sums().sum(axis=0)
    column = {name: place for place, name in enumerate(SUMS)}
    each = whole / whole[column["n"]]
    mean = each[column["rate"]]
    rows = np.tile(each, (len(rates), 1))
    tokens = [column[name] for name in ("input", "input2", "output", "output2", "own")]
    rows[:, tokens] *= (rates / mean)[:, None]
    rows[:, column["rate"]] = rates
    own_cv2 = each[column["rate2"]] / mean**2
    rows[:, column["rate2"]] = rates**2 * (own_cv2 if spread else 1.0)
    rows[:, column["short"]] = -np.expm1(-rates * 5.0)
    rows[:, column["long"]] = -np.expm1(-rates * 60.0)
    rows[:, column["rank"]] = rank
    most_slots = kind.engine.most_slots(rank)
    choices = np.array([item for item in SLOT_CHOICES if item <= most_slots] or [max(most_slots, 1)])
    many = np.repeat(rows, len(choices), axis=0)
    built = CapacityRows.build(
        many,
        np.full(len(many), rank),
        packer.crowd,
        np.tile(choices.astype(np.float64), len(rates)),
        kind.engine,
    )
    capacity = packer.fill.get(kind.name, 1.0) * packer.model.capacity_tok_s(built)
    served: FloatArray = (capacity / built.load_tok_s).reshape(len(rates), -1).max(axis=1)
    return served
