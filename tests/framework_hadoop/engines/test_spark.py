"""The benchmarks on a real Spark in one JVM, with its event log read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Result, WorkloadTables
from framework.errors import ConfigError
from framework_hadoop.benchmarks.plan import GENERATORS
from framework_hadoop.engines.job_failures import EngineFailedError, EngineTimeoutError
from framework_hadoop.engines.spark import SparkBackend
from framework_hadoop.engines.spark_events import read_application
from framework_hadoop.engines.toolchain import find_java, jars_folder
from tests.framework_hadoop.engine_runs import QUICK, benchmark, context, failed_checks, metrics

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _jdk_and_jars() -> None:
    try:
        find_java(None, "these tests")
        jars_folder(None, "these tests")
    except ConfigError as error:
        pytest.skip(str(error))


def spark(workload: WorkloadTables, scratch: Path, **keys: Any) -> Result:
    backend = SparkBackend(**{"jvm_options": QUICK, "timeout_s": 300, **keys})
    backend.check(workload)
    return backend.run(workload, context(scratch))


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_each_benchmark_passes_the_same_check_of_the_output(name: str, tmp_path: Path) -> None:
    result = spark(benchmark(name, "300KB"), tmp_path)
    assert failed_checks(result) == []
    values = metrics(result)
    assert values["exe_time_s"] > 0
    assert values["tasks"] == sum(task["job_id"].startswith("job_") for task in tasks_of_run(result))
    assert result.facts["spark_version"]
    (events,) = result.artifacts["event_log"]
    assert read_application(events).report.jobs


def tasks_of_run(result: Result) -> list[dict[str, Any]]:
    measured = {row["job_id"] for row in result.tables["jobs"].to_pylist() if row["phase"] == "run"}
    return [row for row in result.tables["tasks"].to_pylist() if row["job_id"] in measured]


def test_knobs_act_on_the_tasks_metrics(tmp_path: Path) -> None:
    workload = benchmark("wordcount", "300KB")
    plain = metrics(spark(workload, tmp_path / "a", combiner=False, codec="none"))
    tuned = metrics(spark(workload, tmp_path / "b", codec="lz4", split_size="100KB"))
    assert tuned["shuffle_records"] < 0.5 * plain["shuffle_records"]
    assert tuned["shuffle_write_bytes"] < plain["shuffle_write_bytes"]
    assert tuned["tasks"] > plain["tasks"]


def test_a_spark_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    spark(benchmark("sort", "300KB"), tmp_path / "warm")
    with pytest.raises(EngineTimeoutError, match=r"backend\.timeout_s"):
        spark(benchmark("sort", "300KB"), tmp_path / "slow", timeout_s=1.0)


def test_a_heap_that_spark_refuses_is_a_failed_run_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(EngineFailedError, match=r"must be at least"):
        spark(benchmark("sort", "300KB"), tmp_path, heap_mb=64)
