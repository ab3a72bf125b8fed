"""`import spark`: the run that a Spark application's event log tells of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.identity.run_key import canonical_hash
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines.run_report import RunReport
from framework_hadoop.engines.spark_events import SparkApplication, read_application
from framework_hadoop.history_files.spark_settings import spark_backend, spark_cluster


def read_runs(path: Path) -> Iterator[ImportedRun]:
    """Yield the run of an event log for `import spark PATH`. Raises `InputError` naming file and line."""
    application = read_application(path)
    report = application.report
    backend = spark_backend(application.properties)
    config: dict[str, Any] = {
        "workload": {"name": application.name, "benchmark": application.name.strip().lower() or None},
        "backend": backend,
    }
    cluster = spark_cluster(application.properties, application.hadoop_properties)
    if cluster:
        config["cluster"] = {"cluster": cluster}
    name = application.application_id or f"{application.name}-{application.started_ms}"
    yield ImportedRun(
        origin_id=f"{name}-attempt-{application.attempt}" if application.attempt else name,
        experiment="import:spark",
        backend="spark",
        config=config,
        result=Result(
            _metrics(application, report),
            outcome.run_tables(report, None, shared_process=False)
            | {"sql_queries": _query_table(application), "executors": _executor_table(application)},
            _facts(application),
            list(_checks(application)),
        ),
        content=canonical_hash([_identity(application), config]),
        complete=application.ended_ms is not None,
        begin=canonical_hash(
            [name, application.name, application.attempt, application.started_ms, application.properties]
        ),
        extent=len(application.tasks) + len(application.jobs) + len(application.executors),
    )


def _identity(application: SparkApplication) -> Any:
    """Return what the log says that makes the run itself."""
    tasks = sorted((task.task_id, task.attempt, task.started_ms, task.status) for task in application.tasks)
    jobs = sorted((job.job_id, job.submitted_ms, job.finished_ms or 0) for job in application.jobs)
    return [application.name, application.attempt, application.started_ms, application.ended_ms, jobs, tasks]


def _metrics(application: SparkApplication, report: RunReport) -> list[Metric]:
    metrics = outcome.spark_metrics(report)
    source = "event log"
    if any(job.finished_ms is not None for job in application.jobs):
        begin, end = outcome.measured_window(report)
        metrics.append(Metric("exe_time_s", (end - begin) / 1000, "s", source))
    else:
        metrics.append(Metric.absent("exe_time_s", "no job of the application ended", "s", source))
    core_s = application.core_seconds
    if core_s is None:
        metrics.append(Metric.absent("core_seconds", "the log has no end, or no executor", "s", source))
    else:
        metrics.append(Metric("core_seconds", core_s, "s", source))
    lost = [item for item in application.executors if item.removed_ms is not None]
    metrics.append(Metric("executors_added", float(len(application.executors)), "", source))
    metrics.append(Metric("executors_removed", float(len(lost)), "", source))
    return metrics


def _facts(application: SparkApplication) -> dict[str, Any]:
    dynamic = application.properties.get("spark.dynamicAllocation.enabled", "false").lower() == "true"
    return {
        "spark_version": application.version,
        "application_attempt": application.attempt,
        "dynamic_allocation": dynamic,
        "task_events": application.task_events,
        "properties": dict(application.properties),
    }


def _checks(application: SparkApplication) -> Iterator[SanityCheck]:
    failed = [job for job in application.jobs if not job.succeeded]
    detail = f"{len(failed)} of {len(application.jobs)} jobs failed: {failed[0].error}" if failed else ""
    yield SanityCheck("jobs_succeeded", "fail" if failed else "pass", detail)
    if application.ended_ms is None:
        yield SanityCheck("log_complete", "fail", "the log ends before the application does")
        return
    begin = application.started_ms or 0
    early = [
        job for job in application.jobs if job.finished_ms is not None and job.finished_ms < job.submitted_ms
    ]
    if early or application.ended_ms < begin:
        yield SanityCheck("times_in_order", "fail", "a job, or the application, ends before it begins")
    late = [task for task in application.tasks if task.finished_ms and task.finished_ms < task.started_ms]
    if late:
        yield SanityCheck("times_in_order", "fail", f"task {late[0].task_id} ends before it begins")


def _zero_ms(application: SparkApplication) -> int:
    """Return the moment 0 of all tables of the run; of an application without jobs its start."""
    return outcome.zero_ms(application.report, application.started_ms or 0)


def _query_table(application: SparkApplication) -> Any:
    import pyarrow as pa

    from framework_hadoop import tables

    zero = _zero_ms(application)
    rows = [
        {
            "query_id": query.query_id,
            "description": query.description,
            "started_s": (query.began_ms - zero) / 1000,
            "duration_s": None if query.ended_ms is None else (query.ended_ms - query.began_ms) / 1000,
            "error": query.error,
        }
        for query in application.queries
    ]
    return pa.Table.from_pylist(rows, tables.sql_queries())


def _executor_table(application: SparkApplication) -> Any:
    import pyarrow as pa

    from framework_hadoop import tables

    zero = _zero_ms(application)
    rows = [
        {
            "executor": item.name,
            "host": item.host,
            "cores": item.cores,
            "added_s": (item.added_ms - zero) / 1000,
            "removed_s": None if item.removed_ms is None else (item.removed_ms - zero) / 1000,
            "reason": item.reason,
        }
        for item in application.executors
    ]
    return pa.Table.from_pylist(rows, tables.executors())
