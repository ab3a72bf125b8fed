"""A plan again after rates have drifted, with few moves: what still fits stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework_serving.advice.capacity.adapter_sums import Adapters, IntArray
from framework_serving.advice.fleet.fleet_plan import (
    FleetPlan,
    PlacedGpu,
    check_each_fits,
    filled,
    load_of,
)
from framework_serving.advice.fleet.gpu_types import GpuType, Packer, one_more
from framework_serving.advice.fleet.silent_adapters import house_silent

_NOWHERE = -1


@dataclass(frozen=True)
class Move:
    """An adapter that changes its GPU; places in the plans. `before` is None for an adapter that is new."""

    adapter: int
    before: int | None
    after: int


@dataclass(frozen=True)
class Replan:
    """The new plan and what it takes.

    Attributes:
        plan: GPUs in the order of the present ones, then new ones; without those that are given up.
        moves: adapters that change their GPU, by places in `plan`.
        opened, closed: how many GPUs are new, how many given up.
        overloaded: places, among the present GPUs, of those that had become too small.
    """

    plan: FleetPlan
    moves: tuple[Move, ...]
    opened: int
    closed: int
    overloaded: tuple[int, ...]


def replan(
    packer: Packer, kinds: Sequence[GpuType], adapters: Adapters, present: Sequence[PlacedGpu]
) -> Replan:
    """Return a plan for the rates of `adapters` that keeps most of them where they are.

    Overloaded GPUs give up their busiest adapters, as few as it takes; these and new ones go to the GPU that they
    fill best, or to a new one; the GPU with the fewest adapters is given up if all of them fit elsewhere. Adapters
    without requests then follow, see `house_silent`.

    Raises:
        UserError: an adapter that fits on no GPU by itself, or too few GPUs.
    """
    busy = np.flatnonzero(adapters.rate_rps > 0)
    check_each_fits(packer, kinds, adapters, busy)
    before = np.full(len(adapters), _NOWHERE)
    sets: list[IntArray] = []
    overloaded = []
    for place, gpu in enumerate(present):
        before[gpu.adapters] = place
        kept = gpu.adapters[adapters.rate_rps[gpu.adapters] > 0]
        without = _fewest_removed(packer, gpu.kind, adapters, kept)
        if len(without) < len(kept):
            overloaded.append(place)
        sets.append(without)
    hardware = [gpu.kind for gpu in present]
    placed = np.concatenate([*sets, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    pending = np.setdiff1d(busy, placed)
    for adapter in pending[np.argsort(-adapters.load_tok_s[pending], kind="stable")]:
        target = _best_home(packer, hardware, adapters, sets, int(adapter))
        if target is None:
            alone = np.array([adapter])
            hardware.append(one_more(packer, kinds, hardware, sets, adapters.some(alone)))
            sets.append(alone)
        else:
            sets[target] = np.append(sets[target], adapter)
    while (fewer := _without_one(packer, hardware, adapters, sets)) is not None:
        sets = fewer
    hardware, sets = house_silent(packer, kinds, adapters, hardware, sets, before)
    return _result(packer, adapters, hardware, sets, before, len(present), tuple(overloaded))


def _result(
    packer: Packer,
    adapters: Adapters,
    hardware: Sequence[GpuType],
    sets: Sequence[IntArray],
    before: IntArray,
    present: int,
    overloaded: tuple[int, ...],
) -> Replan:
    gpus: list[PlacedGpu] = []
    moves: list[Move] = []
    for place, chosen in enumerate(sets):
        if not len(chosen):
            continue
        for adapter in np.sort(chosen):
            if before[adapter] != place:
                old = None if before[adapter] == _NOWHERE else int(before[adapter])
                moves.append(Move(int(adapter), old, len(gpus)))
        gpus.append(filled(packer, hardware[place], adapters, chosen))
    closed = sum(not len(chosen) for chosen in sets[:present])
    return Replan(FleetPlan(tuple(gpus)), tuple(moves), len(sets) - present, closed, overloaded)


def _fewest_removed(packer: Packer, kind: GpuType, adapters: Adapters, chosen: IntArray) -> IntArray:
    """Return what stays of a GPU's adapters when its busiest leave until the rest fits."""
    if not len(chosen):
        return chosen
    order = chosen[np.argsort(adapters.load_tok_s[chosen], kind="stable")]  # the last leaves first
    total = np.cumsum(adapters.sums()[order], axis=0)
    _, ratio = load_of(packer, kind, total, np.maximum.accumulate(adapters.rank[order]))
    fitting = np.flatnonzero(ratio <= 1)
    return order[: int(fitting[-1]) + 1] if len(fitting) else order[:0]


def _best_home(
    packer: Packer,
    hardware: Sequence[GpuType],
    adapters: Adapters,
    sets: Sequence[IntArray],
    adapter: int,
    besides: int = _NOWHERE,
) -> int | None:
    """Return the GPU that an adapter fills best; None if it fits on none."""
    own, rank = adapters.sums()[adapter], adapters.rank[adapter]
    best: tuple[float, int] | None = None
    for place, chosen in enumerate(sets):
        if place == besides or not len(chosen):
            continue
        largest = max(float(adapters.rank[chosen].max()), float(rank))
        sums = adapters.some(chosen).sums().sum(axis=0) + own
        _, ratio = packer.best_slots(hardware[place], sums[None], np.array([largest]))
        # a rank above those already there enlarges every slot of the GPU: only where nothing else fits
        larger_slots = largest > adapters.rank[chosen].max()
        if ratio[0] <= 1 and (best is None or (ratio[0] - larger_slots) > best[0]):
            best = (float(ratio[0]) - float(larger_slots), place)
    return None if best is None else best[1]


def _without_one(
    packer: Packer, hardware: Sequence[GpuType], adapters: Adapters, sets: Sequence[IntArray]
) -> list[IntArray] | None:
    """Return the sets with the smallest one distributed over the others; None if it does not fit there."""
    filled = [place for place, chosen in enumerate(sets) if len(chosen)]
    if len(filled) < 2:
        return None
    smallest = min(filled, key=lambda place: len(sets[place]))
    mine = sets[smallest]
    total = sum(packer.fits(hardware[place], adapters.some(sets[place]))[1] for place in filled)
    if total > len(filled) - 1:
        return None
    changed = list(sets)
    for adapter in mine[np.argsort(-adapters.load_tok_s[mine], kind="stable")]:
        target = _best_home(packer, hardware, adapters, changed, int(adapter), smallest)
        if target is None:
            return None
        changed[target] = np.append(changed[target], adapter)
    changed[smallest] = mine[:0]
    return changed
