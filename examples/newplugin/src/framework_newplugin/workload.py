"""The workload: items of random sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework.identity.fingerprint import tables_hash


@dataclass
class Items:
    """Built from the keys of `conf/workload/newplugin.yaml`."""

    name: str
    seed: int
    items: int
    size_mean: float
    max_items: int | None = None

    def __post_init__(self) -> None:
        for key in ("items", "size_mean"):
            if getattr(self, key) <= 0:
                raise ConfigError(
                    f"configuration key 'workload.{key}': must be above 0, got {getattr(self, key)}"
                )

    def build(self, seed: int) -> WorkloadTables:
        """Return one row an item. The same configuration and seed must give the same bytes."""
        count = min(self.items, self.max_items or self.items)
        sizes = np.random.default_rng(seed).exponential(self.size_mean, count)
        tables = {"items": pa.table({"item_id": np.arange(count), "size": sizes})}
        return WorkloadTables(tables, tables_hash(tables), facts={"items": count})
