"""The benchmarks as workloads: a plan of what to run on which input; the engine makes the input itself."""

from __future__ import annotations

import re
from typing import Any

from framework.configuration.plain_values import from_plain
from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework.identity.fingerprint import tables_hash
from framework_hadoop.benchmarks.data_size import format_size, parse_size
from framework_hadoop.benchmarks.plan import (
    GENERATORS,
    POINT_BYTES,
    RECORD_BYTES,
    BenchmarkPlan,
    check_benchmark,
    graph_nodes,
    plan_row,
)
from framework_hadoop.benchmarks.settings import BenchmarkSettings


class BenchmarkWorkload:
    """One benchmark of `BenchmarkSettings`."""

    def __init__(self, **keys: Any) -> None:
        self.settings = from_plain(BenchmarkSettings, keys, "workload")

    def build(self, seed: int) -> WorkloadTables:
        """Return the table `benchmark` with one row.

        The given seed, which differs between repeats, is not used: repeats read the same input, so that their
        difference is the engine's noise. `workload.seed` is the seed of the input.

        Raises:
            ConfigError: a bad value; names the key.
        """
        import pyarrow as pa

        plan = self.plan()
        table = pa.Table.from_pylist([plan_row(plan)], schema=_schema())
        facts = {"benchmark": plan.benchmark, "size": format_size(plan.size_bytes), "seed": plan.seed}
        return WorkloadTables({"benchmark": table}, tables_hash({"benchmark": table}), facts)

    def plan(self) -> BenchmarkPlan:
        """Return the benchmark, checked."""
        settings = self.settings
        benchmark = check_benchmark(settings.benchmark)
        generator = GENERATORS[benchmark]
        size = parse_size(settings.size, "workload.size")
        if settings.max_size is not None:
            size = min(size, parse_size(settings.max_size, "workload.max_size"))
        iterative = benchmark in ("pagerank", "kmeans")
        files = _whole(settings.files, "workload.files") if benchmark == "dfsio" else None
        clusters = _whole(settings.clusters, "workload.clusters") if benchmark == "kmeans" else None
        records = _records(generator, size)
        if records is not None and records < (clusters or 1):
            raise ConfigError(f"workload.size: {settings.size} is too small for {benchmark}")
        return BenchmarkPlan(
            benchmark,
            generator,
            size,
            records,
            _whole(settings.seed, "workload.seed", least=0),
            pattern=_pattern(settings.pattern) if benchmark == "grep" else None,
            iterations=_whole(settings.iterations, "workload.iterations") if iterative else None,
            clusters=clusters,
            files=files,
        )


def _records(generator: str, size_bytes: int) -> int | None:
    if generator == "graph":
        return graph_nodes(size_bytes)
    per_record = {"records": RECORD_BYTES, "points": POINT_BYTES}.get(generator)
    return None if per_record is None else size_bytes // per_record


def _whole(value: Any, key: str, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{key}: expected a whole number of at least {least}, got {value!r}")
    return value


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"workload.pattern: {pattern!r} is not a regular expression: {error}") from error
    if not pattern:
        raise ConfigError("workload.pattern: must not be empty")
    return pattern


def _schema() -> Any:
    import pyarrow as pa

    text, whole = pa.string(), pa.int64()
    columns = {"benchmark": text, "generator": text, "pattern": text}
    names = (
        "benchmark",
        "generator",
        "size_bytes",
        "records",
        "seed",
        "pattern",
        "iterations",
        "clusters",
        "files",
    )
    return pa.schema([(name, columns.get(name, whole)) for name in names])
