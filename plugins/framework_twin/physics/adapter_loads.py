"""How long an adapter takes to load: host memory into a slot, and disk into host memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework_twin.kernel.inputs import AdapterTable


@dataclass(frozen=True)
class AdapterLoadTimes:
    """Seconds of one load, measured with single adapters (`adapter_load_times.csv`).

    Copying into a slot is bound by the number of tensors, not by their size, so rank hardly matters;
    an adapter smaller than its slot also needs the rest of the slot cleared.

    Attributes:
        exact_s: host memory to a slot of the adapter's own rank.
        padded_s: host memory to a slot sized for a larger rank.
        disk_s, disk_per_rank_s: disk to host memory, a constant and a part per rank unit.
    """

    exact_s: float
    padded_s: float
    disk_s: float
    disk_per_rank_s: float

    def table(self, ranks: Sequence[int], max_rank: int) -> AdapterTable:
        """Return the kernel's adapter table for adapters of these ranks in slots of `max_rank`."""
        rank = np.asarray(ranks, dtype=np.int32)
        to_slot = np.where(rank < max_rank, self.padded_s, self.exact_s)
        from_disk = np.asarray(self.disk_s + self.disk_per_rank_s * rank, dtype=np.float64)
        return AdapterTable(rank, to_slot.astype(np.float64), from_disk)


UNCALIBRATED_LOADS = AdapterLoadTimes(exact_s=7e-3, padded_s=8e-3, disk_s=30e-3, disk_per_rank_s=2e-3)
"""Loads where nothing was measured: between the values of the measured 7–8 B models."""
