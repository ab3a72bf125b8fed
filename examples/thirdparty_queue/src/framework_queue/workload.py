"""The workload: customers with an arrival and a service time each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework.identity.fingerprint import tables_hash


@dataclass
class Customers:
    """Poisson arrivals, exponential service times: `customers(customer_id, arrival_s, service_s)`.

    The constructor takes exactly the keys of its configuration group, `name` and `seed` included.
    """

    name: str
    seed: int
    customers: int
    arrival_rate_hz: float
    service_mean_s: float
    max_customers: int | None = None

    def __post_init__(self) -> None:
        for key in ("customers", "arrival_rate_hz", "service_mean_s"):
            if getattr(self, key) <= 0:
                raise ConfigError(
                    f"configuration key 'workload.{key}': must be above 0, got {getattr(self, key)}"
                )

    def build(self, seed: int) -> WorkloadTables:
        """Return the customers. `seed` is the run's own: `workload.seed` plus the repeat's number; use this one."""
        random = np.random.default_rng(seed)
        count = min(self.customers, self.max_customers or self.customers)
        gaps = random.exponential(1 / self.arrival_rate_hz, count)
        customers = pa.table(
            {
                "customer_id": np.arange(count),
                "arrival_s": np.cumsum(gaps) - gaps[0],  # times count from the first arrival
                "service_s": random.exponential(self.service_mean_s, count),
            }
        )
        tables = {"customers": customers}
        facts = {"realised_service_mean_s": float(np.mean(customers["service_s"]))}
        return WorkloadTables(tables, tables_hash(tables), facts)
