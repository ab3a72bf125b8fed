"""The backend: workers that process items."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError


@dataclass
class Workers:
    """Built from the keys of `conf/backend/newplugin.yaml`."""

    name: str
    workers: int
    rate_per_s: float

    def __post_init__(self) -> None:
        for key in ("workers", "rate_per_s"):
            if getattr(self, key) <= 0:
                raise ConfigError(
                    f"configuration key 'backend.{key}': must be above 0, got {getattr(self, key)}"
                )

    def check(self, workload: WorkloadTables) -> None:
        """Refuse what can't run, before anything starts."""
        if "items" not in workload.tables:
            raise ConfigError(
                "configuration group 'workload': backend=newplugin serves workload=newplugin only"
            )

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Process every item; replace this by your engine, or a model of it, and end every process that you start."""
        free_at_s = [0.0] * self.workers
        starts_s, ends_s = [], []
        for size in workload.tables["items"]["size"].to_pylist():
            starts_s.append(heapq.heappop(free_at_s))
            ends_s.append(starts_s[-1] + size / self.rate_per_s)
            heapq.heappush(free_at_s, ends_s[-1])
        context.progress(1.0, "all items processed")
        duration_s = max(ends_s)
        busy_s = sum(ends_s) - sum(starts_s)
        metrics = [
            Metric("newplugin_items_s", len(ends_s) / duration_s, "1/s", "processing"),
            Metric("newplugin_busy", busy_s / (duration_s * self.workers), "", "processing"),
        ]
        processing = {"item_id": workload.tables["items"]["item_id"], "start_s": starts_s, "end_s": ends_s}
        return Result(metrics, {"newplugin_processing": pa.table(processing)})
