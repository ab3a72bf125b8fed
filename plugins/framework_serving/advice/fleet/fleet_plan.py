"""Which adapters go on which GPU: fewest GPUs or least cost, no GPU loaded beyond its capacity.

Greedy: adapters in an order that keeps alike ones together (one adapter of a large rank makes every slot of its GPU
expensive), each GPU filled with as many of the next ones as fit; several orders are tried and the cheapest plan kept.
For ten adapters or less the best plan is found by dynamic programming over all subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import Adapters, IntArray
from framework_serving.advice.fleet.gpu_types import TOO_FEW, GpuType, Packer, rank_refused
from framework_serving.advice.fleet.silent_adapters import house_silent

MOST_EXACT = 10
_PREFIXES = 24


@dataclass(frozen=True, eq=False)
class PlacedGpu:
    """One GPU of a plan.

    Attributes:
        kind: its type.
        slots: `max_loras` of its engine.
        adapters: places of its adapters among all, rising.
        load: load / capacity, at most 1.
    """

    kind: GpuType
    slots: int
    adapters: IntArray
    load: float


@dataclass(frozen=True)
class FleetPlan:
    """GPUs that serve all adapters; those without a rate are placed last, see `house_silent`."""

    gpus: tuple[PlacedGpu, ...]

    @property
    def cost(self) -> float:
        """Sum of the GPUs' costs."""
        return sum(gpu.kind.cost for gpu in self.gpus)


def plan_fleet(packer: Packer, kinds: Sequence[GpuType], adapters: Adapters) -> FleetPlan:
    """Return the cheapest plan found.

    Raises:
        UserError: an adapter that fits on no GPU by itself, or too few GPUs; names it.
    """
    busy = np.flatnonzero(adapters.rate_rps > 0)
    check_each_fits(packer, kinds, adapters, busy)
    plans = [_greedy(packer, kinds, adapters, busy[order]) for order in _orders(adapters.some(busy))]
    found = [plan for plan in plans if plan is not None]
    if not found:
        raise UserError(TOO_FEW)
    return _with_silent(packer, kinds, adapters, min(found, key=lambda plan: (plan.cost, len(plan.gpus))))


def _with_silent(packer: Packer, kinds: Sequence[GpuType], adapters: Adapters, plan: FleetPlan) -> FleetPlan:
    if adapters.rate_rps.all():
        return plan
    old = [gpu.kind for gpu in plan.gpus], [gpu.adapters for gpu in plan.gpus]
    hardware, sets = house_silent(packer, kinds, adapters, *old, np.full(len(adapters), -1))
    return FleetPlan(
        tuple(filled(packer, kind, adapters, mine) for kind, mine in zip(hardware, sets, strict=True))
    )


def filled(packer: Packer, kind: GpuType, adapters: Adapters, chosen: IntArray) -> PlacedGpu:
    """Return a GPU of a type with some of the adapters and its best number of slots."""
    slots, load = packer.fits(kind, adapters.some(chosen))
    return PlacedGpu(kind, slots, np.sort(chosen), load)


def check_each_fits(packer: Packer, kinds: Sequence[GpuType], adapters: Adapters, busy: IntArray) -> None:
    """Raise `UserError` for an adapter that no GPU serves by itself; says why."""
    if not len(busy):
        return
    alone = np.full(len(busy), np.inf)
    sums = adapters.sums()[busy]
    for kind in kinds:
        for rank in np.unique(adapters.rank[busy]):
            mine = adapters.rank[busy] == rank
            alone[mine] = np.minimum(
                alone[mine], packer.best_slots(kind, sums[mine], adapters.rank[busy][mine])[1]
            )
    if alone.max() <= 1:
        return
    worst = int(busy[np.argmax(alone)])
    rank, rate = adapters.rank[worst], adapters.rate_rps[worst]
    names = ", ".join(kind.name for kind in kinds)
    if not np.isfinite(alone.max()):
        raise rank_refused(worst, rank, kinds)
    raise UserError(
        f"adapter {worst}: {rate:g} requests/s are {alone.max():.2f} times what one GPU ({names}) serves; "
        "split it over replicas first"
    )


def _orders(adapters: Adapters) -> list[IntArray]:
    load, rank = adapters.load_tok_s, adapters.rank
    return [
        np.lexsort((-load, -rank)),
        np.lexsort((load, -rank)),
        np.argsort(-load, kind="stable"),
        np.lexsort((np.arange(len(load)), -rank)),
    ]


def _greedy(
    packer: Packer, kinds: Sequence[GpuType], adapters: Adapters, order: IntArray
) -> FleetPlan | None:
    sums, ranks = adapters.sums()[order], adapters.rank[order]
    left = {kind.name: kind.available for kind in kinds}
    gpus: list[PlacedGpu] = []
    first = 0
    while first < len(order):
        best: tuple[float, float, GpuType, int, int, float] | None = None
        for kind in kinds:
            if left[kind.name] == 0:
                continue
            count, slots, ratio = _longest(packer, kind, sums[first:], ranks[first:])
            if count:
                served = float(adapters.load_tok_s[order[first : first + count]].sum())
                done = first + count == len(order)
                # the last GPU should be cheap; before it, the load should be
                price = kind.cost if done else kind.cost / served
                key = (0.0 if done else 1.0, price)
                if best is None or key < best[:2]:
                    best = (*key, kind, count, slots, ratio)
        if best is None:
            return None
        _, _, kind, count, slots, ratio = best
        gpus.append(PlacedGpu(kind, slots, np.sort(order[first : first + count]), ratio))
        available = left[kind.name]
        left[kind.name] = None if available is None else available - 1
        first += count
    return FleetPlan(tuple(gpus))


def _longest(packer: Packer, kind: GpuType, sums: np.ndarray, ranks: np.ndarray) -> tuple[int, int, float]:
    """Return (number, slots, load) of the longest beginning of a list that fits on one GPU; 0 if nothing fits."""
    total, largest = np.cumsum(sums, axis=0), np.maximum.accumulate(ranks)
    low, high = 0, len(sums) + 1
    chosen = (0, 0, np.inf)
    while high - low > 1:
        sizes = np.unique(np.append(np.geomspace(low + 1, high - 1, _PREFIXES).astype(int), high - 1))
        slots, ratio = load_of(packer, kind, total[sizes - 1], largest[sizes - 1])
        short = np.flatnonzero(ratio > 1)
        place = int(short[0]) if len(short) else len(sizes)
        if place:
            low = int(sizes[place - 1])
            chosen = (low, int(slots[place - 1]), float(ratio[place - 1]))
        if place < len(sizes):
            high = int(sizes[place])
    return chosen


def load_of(
    packer: Packer, kind: GpuType, sums: np.ndarray, ranks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ask for sets of several largest ranks: each rank has its own choice of slots."""
    slots, ratio = np.zeros(len(sums)), np.full(len(sums), np.inf)
    for rank in np.unique(ranks):
        mine = ranks == rank
        slots[mine], ratio[mine] = packer.best_slots(kind, sums[mine], ranks[mine])
    return slots, ratio


def exact_plan(packer: Packer, kinds: Sequence[GpuType], adapters: Adapters) -> FleetPlan:
    """Return a plan of least cost, by dynamic programming over all subsets.

    Raises:
        UserError: more adapters than it can be asked for, or one that fits nowhere.
    """
    busy = np.flatnonzero(adapters.rate_rps > 0)
    n = len(busy)
    if n > MOST_EXACT:
        raise UserError(f"{n} adapters: the exact plan is for at most {MOST_EXACT}")
    if not n:
        return _with_silent(packer, kinds, adapters, FleetPlan(()))
    check_each_fits(packer, kinds, adapters, busy)
    member = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1
    sums = member @ adapters.sums()[busy]
    ranks = np.max(np.where(member > 0, adapters.rank[busy], 0), axis=1)
    price = np.full(2**n, np.inf)
    choice: list[PlacedGpu | None] = [None] * 2**n
    for kind in kinds:
        slots, ratio = load_of(packer, kind, sums, ranks)
        for place in np.flatnonzero((ratio <= 1) & (kind.cost < price[1:])):
            price[place + 1] = kind.cost
            choice[place + 1] = PlacedGpu(
                kind, int(slots[place]), busy[member[place] > 0], float(ratio[place])
            )
    best = np.full(2**n, np.inf)
    best[0] = 0.0
    taken = np.zeros(2**n, dtype=np.int64)
    for subset in range(1, 2**n):
        lowest = subset & -subset
        part = subset
        while part:
            if part & lowest and best[subset ^ part] + price[part] < best[subset]:
                best[subset], taken[subset] = best[subset ^ part] + price[part], part
            part = (part - 1) & subset
    gpus, rest = [], 2**n - 1
    while rest:
        gpu = choice[taken[rest]]
        assert gpu is not None
        gpus.append(gpu)
        rest ^= int(taken[rest])
    return _with_silent(packer, kinds, adapters, FleetPlan(tuple(gpus)))
