"""Workload and backend of the toy study."""

from __future__ import annotations

from dataclasses import dataclass

from framework.contracts import Metric, Result, RunContext, WorkloadTables
from framework.errors import ConfigError


@dataclass
class Numbers:
    """`numbers(value)`: `size` whole numbers that depend on the seed alone."""

    name: str
    seed: int
    size: int

    def build(self, seed: int) -> WorkloadTables:
        """Return the numbers."""
        import pyarrow as pa

        from framework.identity.fingerprint import tables_hash

        tables = {"numbers": pa.table({"value": [1000 * seed + index for index in range(self.size)]})}
        return WorkloadTables(tables, tables_hash(tables))


@dataclass
class Adder:
    """Adds the numbers up at `speed` numbers a second, in no time; `fail=true` makes a run fail."""

    name: str
    speed: float
    fail: bool

    def check(self, workload: WorkloadTables) -> None:
        """Refuse other workloads."""
        if "numbers" not in workload.tables:
            raise ConfigError("configuration group 'workload': backend=toy serves workload=toy only")

    def run(self, workload: WorkloadTables, context: RunContext) -> Result:
        """Return `numbers_s` and `duration_s`, and the table `sums`."""
        import pyarrow as pa

        if self.fail:
            raise RuntimeError("this run was to fail")
        values = workload.tables["numbers"]["value"].to_pylist()
        metrics = [
            Metric("numbers_s", self.speed, "1/s", "toy"),
            Metric("duration_s", len(values) / self.speed, "s", "toy"),
        ]
        return Result(metrics, {"sums": pa.table({"value": [sum(values)]})})
