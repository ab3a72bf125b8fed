"""Homes of adapters that have no requests now: a request for one may come, so each stays in the deployment.

They are placed last and cost no throughput, but one of a larger rank than its GPU's others enlarges every slot there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from framework_serving.advice.capacity.adapter_sums import Adapters, IntArray
from framework_serving.advice.fleet.gpu_types import GpuType, Packer, one_more, rank_refused


def house_silent(
    packer: Packer,
    kinds: Sequence[GpuType],
    adapters: Adapters,
    hardware: Sequence[GpuType],
    sets: Sequence[IntArray],
    before: IntArray,
) -> tuple[list[GpuType], list[IntArray]]:
    """Return GPUs and their sets of adapters with those added that have no rate.

    Each stays where it is if that GPU keeps adapters and fits with slots of its rank. Otherwise it goes where the
    slots are large enough already, else to where they can be enlarged; of several, to the GPU with the fewest
    adapters. Only where there is none, a GPU is opened.

    Args:
        packer: asks the model.
        kinds: types that can be had.
        adapters: all of them.
        hardware, sets: GPUs and the adapters with a rate on each; an empty set is a GPU that is given up.
        before: for each adapter, the place among `hardware` where it is now, −1 for a new one.

    Raises:
        UserError: no GPU starts with so large a rank, or none is left; names the adapter.
    """
    hardware, sets = list(hardware), list(sets)
    silent = np.flatnonzero(adapters.rate_rps <= 0)
    for rank in np.unique(adapters.rank[silent])[::-1]:  # the others need no larger slots then
        mine = silent[adapters.rank[silent] == rank]
        if not any(kind.engine.most_slots(float(rank)) for kind in kinds):
            raise rank_refused(int(mine[0]), float(rank), kinds)
        fitting = _fitting(packer, adapters, hardware, sets, int(mine[0]))
        for adapter in mine:
            home = int(before[adapter])
            if not fitting:
                home = _opened(packer, kinds, adapters.some(np.array([adapter])), hardware, sets, home)
            elif home not in fitting:
                home = min(fitting, key=lambda place: (fitting[place], len(sets[place])))
            sets[home] = np.append(sets[home], adapter)
            fitting[home] = False
    return hardware, sets


def _fitting(
    packer: Packer, adapters: Adapters, hardware: Sequence[GpuType], sets: Sequence[IntArray], adapter: int
) -> dict[int, bool]:
    """Return the GPUs that keep adapters and fit with one more of no rate: whether its rank enlarges slots."""
    found = {}
    for place, chosen in enumerate(sets):
        if not len(chosen):
            continue
        larger = bool(adapters.rank[adapter] > adapters.rank[chosen].max())
        if not larger or packer.fits(hardware[place], adapters.some(np.append(chosen, adapter)))[1] <= 1:
            found[place] = larger
    return found


def _opened(
    packer: Packer,
    kinds: Sequence[GpuType],
    one: Adapters,
    hardware: list[GpuType],
    sets: list[IntArray],
    home: int,
) -> int:
    """Return the place of an empty GPU for an adapter: its present one if it is given up, else the cheapest."""
    if home >= 0 and not len(sets[home]) and packer.fits(hardware[home], one)[1] <= 1:
        return home
    hardware.append(one_more(packer, kinds, hardware, sets, one))
    sets.append(np.zeros(0, dtype=np.int64))
    return len(sets) - 1
