"""The backend: runs the workload through the queue and measures the waits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from framework.contracts import Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError
from framework_queue.settings import Discipline
from framework_queue.simulation import service_starts


@dataclass
class QueueBackend:
    """A counter with several servers. Nothing needs to be subclassed: `check` and `run` make it a backend."""

    name: str
    servers: int
    discipline: Discipline

    def __post_init__(self) -> None:
        if self.servers < 1:
            raise ConfigError(f"configuration key 'backend.servers': must be at least 1, got {self.servers}")

    def check(self, workload: WorkloadTables) -> None:
        """Refuse a combination that can't run before anything starts. Say which key to change."""
        if "customers" not in workload.tables:
            raise ConfigError(
                "configuration group 'workload': backend 'queue' serves workload=customers only"
            )

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Serve everybody; return scalar metrics, and tables without a `run_id` column (the core adds it)."""
        customers = workload.tables["customers"]
        arrival, service = np.asarray(customers["arrival_s"]), np.asarray(customers["service_s"])
        context.progress(0.1, f"{len(arrival)} customers")
        start = np.array(service_starts(arrival.tolist(), service.tolist(), self.servers, self.discipline))
        end = start + service
        visits = pa.table(
            {"customer_id": customers["customer_id"], "arrival_s": arrival, "start_s": start, "end_s": end}
        )
        return Result(
            metrics=visit_metrics(visits, self.servers),
            tables={"visits": visits, "samples": _queue_lengths(arrival, start)},
            facts={"simulator": "framework_queue 0.1"},
        )


def visit_metrics(visits: pa.Table, servers: int) -> list[Metric]:
    """Return waits (s) and utilisation of a table of visits."""
    arrival, start, end = (np.asarray(visits[name]) for name in ("arrival_s", "start_s", "end_s"))
    wait = start - arrival
    busy_s, available_s = float(np.sum(end - start)), servers * float(end.max() - arrival.min())
    return [
        Metric("wait_mean_s", float(wait.mean()), "s", "visits"),
        Metric("wait_p99_s", float(np.quantile(wait, 0.99)), "s", "visits"),
        Metric("utilisation", busy_s / available_s, "", "visits"),
    ]


def _queue_lengths(arrival: np.ndarray, start: np.ndarray, points: int = 100) -> pa.Table:
    """Return the number of customers who wait at evenly spaced times, as rows of `samples`."""
    times = np.linspace(0, start.max(), points)
    waiting = np.searchsorted(arrival, times, "right") - np.searchsorted(np.sort(start), times, "right")
    return pa.table({"t_s": times, "name": ["waiting"] * points, "value": waiting.astype(float)})
