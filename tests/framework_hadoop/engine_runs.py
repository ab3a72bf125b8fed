"""What the integration tests of the engines share: running a benchmark on a backend, without the core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.contracts import Result, RunContext, WorkloadTables
from framework_hadoop.benchmarks.workloads import BenchmarkWorkload
from framework_hadoop.engines.mapreduce import HadoopBackend

QUICK = ["-XX:TieredStopAtLevel=1"]


def benchmark(name: str, size: str = "500KB", **keys: Any) -> WorkloadTables:
    return BenchmarkWorkload(name=name, benchmark=name, size=size, **keys).build(seed=0)


def context(scratch: Path, run_id: str = "run") -> RunContext:
    scratch.mkdir(parents=True, exist_ok=True)
    return RunContext(run_id, {}, 0, scratch)


def hadoop(workload: WorkloadTables, scratch: Path, **knobs: Any) -> Result:
    knobs = {"heap_mb": 384, "jvm_options": QUICK, "timeout_s": 300, **knobs}
    backend = HadoopBackend(**knobs)
    backend.check(workload)
    return backend.run(workload, context(scratch))


def metrics(result: Result) -> dict[str, float]:
    return {metric.name: metric.value for metric in result.metrics if metric.value is not None}


def failed_checks(result: Result) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in result.checks if check.verdict != "pass"]


def repeatable_counters(result: Result) -> list[tuple[str, str, int]]:
    table: pa.Table = result.tables["counters"]
    steps = {row["job_id"]: row["step"] for row in result.tables["jobs"].to_pylist() if row["phase"] == "run"}
    return sorted(
        (f"{steps[row['job_id']]} {row['counter_group']}", row["name"], row["value"])
        for row in table.to_pylist()
        if row["repeatable"] and row["job_id"] in steps
    )
