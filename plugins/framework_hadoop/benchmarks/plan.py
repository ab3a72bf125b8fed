"""What a benchmark is: its input, its parameters, and what must be true of its output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from framework.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from framework.contracts import WorkloadTables

Generator = Literal["text", "records", "graph", "points", "none"]

GENERATORS: Mapping[str, Generator] = {
    "wordcount": "text",
    "sort": "text",
    "terasort": "records",
    "grep": "text",
    "pagerank": "graph",
    "kmeans": "points",
    "dfsio": "none",
}
"""The benchmarks, and what makes their input."""

RECORD_BYTES = 100  # TeraSort's record
POINT_BYTES = 72  # eight coordinates `ddd.dddd`, commas, newline
_MEAN_LINKS = 8  # 1 to 15, uniform


@dataclass(frozen=True)
class BenchmarkPlan:
    """One benchmark with its input, complete enough to be run and checked.

    Attributes:
        benchmark: its name.
        generator: kind of its input.
        size_bytes: size asked for; what is made is exact, but for graphs (close) and for records and points
            (a whole number of them).
        records: number of records, nodes or points to make; None for text, which is sized in bytes.
        seed: seed of the input.
        pattern, iterations, clusters, files: see `BenchmarkSettings`; None where they mean nothing.
    """

    benchmark: str
    generator: Generator
    size_bytes: int
    records: int | None
    seed: int
    pattern: str | None = None
    iterations: int | None = None
    clusters: int | None = None
    files: int | None = None

    @property
    def input_bytes(self) -> int:
        """Bytes that will be read, as far as known before the input is made."""
        if self.generator == "records":
            return (self.records or 0) * RECORD_BYTES
        return (self.records or 0) * POINT_BYTES if self.generator == "points" else self.size_bytes

    def properties(self) -> dict[str, str]:
        """Return the properties that describe the benchmark to the engine's program."""
        words: dict[str, Any] = {
            "framework.seed": self.seed,
            "framework.bytes": self.size_bytes,
            "framework.nodes": self.records if self.generator == "graph" else None,
            "framework.points": self.records if self.generator == "points" else None,
            "framework.pattern": self.pattern,
            "framework.iterations": self.iterations,
            "framework.clusters": self.clusters,
            "framework.parts": self.files,
        }
        return {name: str(value) for name, value in words.items() if value is not None}


def graph_nodes(size_bytes: int) -> int:
    """Return how many nodes make a graph file of about so many bytes.

    A line is a node, a tab, 8 links on average with 7 commas, a newline. Nodes are uniform below n; a link is
    n u^2 for a uniform u, so that P(link < x) = sqrt(x / n).
    """
    nodes = max(1, size_bytes // 50)
    for _ in range(30):
        powers = [10**k for k in range(1, 20) if 10**k < nodes]
        node_digits = 1 + sum(1 - power / nodes for power in powers)
        link_digits = 1 + sum(1 - math.sqrt(power / nodes) for power in powers)
        line = node_digits + 1 + _MEAN_LINKS * (link_digits + 1)
        nodes = max(1, round(size_bytes / line))
    return nodes


def check_benchmark(name: str) -> str:
    """Return the benchmark's name. Raises `ConfigError` naming the nearest one if there is none such."""
    if name not in GENERATORS:
        raise ConfigError(f"workload.benchmark: unknown benchmark {name!r}{did_you_mean(name, GENERATORS)}")
    return name


def plan_of(workload: WorkloadTables, backend: str) -> BenchmarkPlan:
    """Return the plan that a workload's table `benchmark` holds.

    Raises:
        ConfigError: the workload is of another domain.
    """
    table = workload.tables.get("benchmark")
    if table is None or table.num_rows != 1:
        raise ConfigError(
            f"backend '{backend}' runs only benchmarks: use one of workload={', '.join(GENERATORS)}"
        )
    row = table.to_pylist()[0]
    return BenchmarkPlan(**{item.name: row[item.name] for item in fields(BenchmarkPlan)})


def plan_row(plan: BenchmarkPlan) -> dict[str, Any]:
    """Return the plan as one row of the table `benchmark`."""
    return asdict(plan)
