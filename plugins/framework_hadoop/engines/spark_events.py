"""A Spark application as its event log reports it: jobs, task attempts, executors, SQL queries.

An event log is JSON lines, each with an `Event` name (Spark's `JsonProtocol`). Tasks, attempts, and the events that
tell of them are three counts: a task whose output is lost with its executor ends a second time (`Resubmitted`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport
from framework_hadoop.history_files.spark_log_files import spark_events
from framework_hadoop.history_files.spark_settings import spark_backend, spark_cluster

_NANOS_PER_MS = 1_000_000
GROUP = "spark"

# Counter: the way to it in an event's `Task Metrics`.
_TASK_METRICS: Mapping[str, tuple[str, ...]] = {
    "INPUT_BYTES": ("Input Metrics", "Bytes Read"),
    "INPUT_RECORDS": ("Input Metrics", "Records Read"),
    "OUTPUT_BYTES": ("Output Metrics", "Bytes Written"),
    "OUTPUT_RECORDS": ("Output Metrics", "Records Written"),
    "SHUFFLE_WRITE_BYTES": ("Shuffle Write Metrics", "Shuffle Bytes Written"),
    "SHUFFLE_WRITE_RECORDS": ("Shuffle Write Metrics", "Shuffle Records Written"),
    "SHUFFLE_READ_RECORDS": ("Shuffle Read Metrics", "Total Records Read"),
    "MEMORY_SPILLED_BYTES": ("Memory Bytes Spilled",),
    "DISK_SPILLED_BYTES": ("Disk Bytes Spilled",),
    "GC_TIME_MILLIS": ("JVM GC Time",),
    "EXECUTOR_RUN_MILLIS": ("Executor Run Time",),
}


@dataclass
class Executor:
    """One executor. Times are milliseconds since the epoch; `removed_ms` is None for one that stayed to the end."""

    name: str
    host: str | None
    cores: int
    added_ms: int
    removed_ms: int | None = None
    reason: str | None = None


@dataclass
class SqlQuery:
    """One SQL execution. Times are milliseconds since the epoch; `ended_ms` is None where its end is not known."""

    query_id: str
    description: str
    began_ms: int
    ended_ms: int | None = None
    error: str | None = None


@dataclass
class SparkApplication:
    """One application as its event log reports it.

    Attributes:
        jobs, tasks: as in a run's report; a task's kind is its stage (`stage 3`).
        started_ms, ended_ms: of the application; `ended_ms` is None where the log breaks off.
        properties, hadoop_properties: Spark's own configuration, and Hadoop's as Spark saw it.
        attempt: of the application (`1`, `2` …); None where the cluster manager counts none.
        executors, queries: in the order they came.
        task_events: how many ends of task attempts were told.
    """

    application_id: str = ""
    attempt: str | None = None
    hadoop_properties: dict[str, str] = field(default_factory=dict)
    executors: list[Executor] = field(default_factory=list)
    queries: list[SqlQuery] = field(default_factory=list)
    task_events: int = 0
    name: str = ""
    version: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    properties: dict[str, str] = field(default_factory=dict)
    jobs: list[JobReport] = field(default_factory=list)
    tasks: list[TaskReport] = field(default_factory=list)

    @property
    def report(self) -> RunReport:
        """The same facts as a run's report."""
        return RunReport(list(self.jobs), list(self.tasks))

    @property
    def core_seconds(self) -> float | None:
        """Cores of the executors times the seconds for which they were there; None without an end or an executor."""
        if self.ended_ms is None or not self.executors:
            return None
        ends = [
            (item, self.ended_ms if item.removed_ms is None else min(item.removed_ms, self.ended_ms))
            for item in self.executors
        ]
        return sum(item.cores * max(0, end - item.added_ms) for item, end in ends) / 1000


class _Reader:
    """Takes events in their order and builds the application."""

    def __init__(self) -> None:
        self.application = SparkApplication()
        self._job_of_stage: dict[int, str] = {}
        self._open: dict[str, dict[str, Any]] = {}
        self._sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._attempts: dict[tuple[str, int], int] = {}
        self._query_of_job: dict[str, str] = {}

    def take(self, kind: str, event: dict[str, Any]) -> None:
        """Take one event; the many kinds that say nothing here are passed over."""
        application = self.application
        if kind == "SparkListenerLogStart":
            application.version = event.get("Spark Version")
        elif kind == "SparkListenerApplicationStart":
            if application.started_ms is not None:
                raise ValueError("a second application begins: two logs in one")
            application.application_id = event.get("App ID") or ""
            attempt = event.get("App Attempt ID")
            application.attempt = None if attempt is None else str(attempt)
            application.name = event["App Name"]
            application.started_ms = int(event["Timestamp"])
        elif kind == "SparkListenerEnvironmentUpdate":
            application.properties = _texts(event.get("Spark Properties"))
            application.hadoop_properties = _texts(event.get("Hadoop Properties"))
        elif kind == "SparkListenerApplicationEnd":
            application.ended_ms = int(event["Timestamp"])
        elif kind == "SparkListenerJobStart":
            self._job_started(event)
        elif kind == "SparkListenerTaskEnd":
            self._task_ended(event)
        elif kind == "SparkListenerJobEnd":
            self._job_ended(event)
        elif kind == "SparkListenerExecutorAdded":
            told = event["Executor Info"]
            name, cores = str(event["Executor ID"]), int(told["Total Cores"])
            if all(item.name != name for item in application.executors):  # a compacted log repeats it
                added = Executor(name, told.get("Host"), cores, int(event["Timestamp"]))
                application.executors.append(added)
        elif kind == "SparkListenerExecutorRemoved":
            for item in application.executors:
                if item.name == str(event["Executor ID"]) and item.removed_ms is None:
                    item.removed_ms, item.reason = int(event["Timestamp"]), event.get("Removed Reason")
        elif kind.endswith(".SparkListenerSQLExecutionStart"):
            name = str(event["executionId"])
            query = SqlQuery(name, str(event.get("description") or ""), int(event["time"]))
            application.queries.append(query)
        elif kind.endswith(".SparkListenerSQLExecutionEnd"):
            for query in application.queries:
                if query.query_id == str(event["executionId"]):
                    query.ended_ms, query.error = int(event["time"]), event.get("errorMessage") or None

    def _job_started(self, event: dict[str, Any]) -> None:
        job_id = f"job_{event['Job ID']}"
        self._open[job_id] = event
        query = (event.get("Properties") or {}).get("spark.sql.execution.id")
        if query is not None:
            self._query_of_job[job_id] = str(query)
        for stage in event["Stage IDs"]:
            # a later job lists a stage again if it reuses its output: it ran in the first
            self._job_of_stage.setdefault(int(stage), job_id)

    def _task_ended(self, event: dict[str, Any]) -> None:
        info, stage = event["Task Info"], int(event["Stage ID"])
        job_id = self._job_of_stage.get(stage, "")
        self.application.task_events += 1
        reason = event.get("Task End Reason") or {}
        succeeded = reason.get("Reason") == "Success"
        killed = bool(info.get("Killed")) or reason.get("Reason") in ("TaskKilled", "Resubmitted")
        task_id = f"{stage}.{event.get('Stage Attempt ID', 0)}.{info['Index']}"
        error = None if succeeded else _reason(reason)
        again = self._attempts.get((task_id, int(info["Attempt"])))
        if again is not None:  # its output was lost with its executor: it had been counted
            before = self.application.tasks[again]
            self.application.tasks[again] = replace(before, succeeded=succeeded, killed=killed, error=error)
            return
        self._attempts[task_id, int(info["Attempt"])] = len(self.application.tasks)
        counters = _task_counters(event.get("Task Metrics") or {})
        for name, value in counters.items():
            self._sums[job_id][name] += value
        self.application.tasks.append(
            TaskReport(
                job_id=job_id,
                task_id=task_id,
                attempt=int(info["Attempt"]),
                kind=f"stage {stage}",
                started_ms=int(info["Launch Time"]),
                function_started_ms=None,
                function_finished_ms=None,
                finished_ms=int(info["Finish Time"]) or None,
                succeeded=succeeded,
                counters=counters,
                killed=killed,
                host=info.get("Host"),
                error=error,
            )
        )

    def _job_ended(self, event: dict[str, Any]) -> None:
        job_id = f"job_{event['Job ID']}"
        began = self._open.pop(job_id, None)
        submitted = int((began or event).get("Submission Time", event["Completion Time"]))
        outcome_ = event["Job Result"]
        succeeded = outcome_["Result"] == "JobSucceeded"
        error = (
            None if succeeded else str((outcome_.get("Exception") or {}).get("Message", "")).split("\n")[0]
        )
        self._add_job(job_id, submitted, int(event["Completion Time"]), succeeded, error)

    def _add_job(
        self, job_id: str, begin_ms: int, end_ms: int | None, succeeded: bool, error: str | None
    ) -> None:
        counters = {GROUP: dict(self._sums[job_id])}
        query = self._query_of_job.get(job_id)
        told = {item.query_id: item.description for item in self.application.queries}
        name = (told.get(query) if query is not None else None) or self.application.name
        self.application.jobs.append(
            JobReport(job_id, name, "run", begin_ms, end_ms, succeeded, None, error, counters)
        )

    def finish(self) -> SparkApplication:
        """Return the application; jobs that never ended stay without an end."""
        for job_id, event in self._open.items():
            begin = int(event["Submission Time"])
            self._add_job(job_id, begin, None, False, "the log ends before the job does")
        return self.application


def _task_counters(metrics: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, way in _TASK_METRICS.items():
        value: Any = metrics
        for step in way:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            found[name] = int(value)
    fetched = metrics.get("Shuffle Read Metrics")
    if fetched:
        found["SHUFFLE_READ_BYTES"] = int(fetched["Remote Bytes Read"]) + int(fetched["Local Bytes Read"])
    if "Executor CPU Time" in metrics:
        found["CPU_MILLISECONDS"] = int(metrics["Executor CPU Time"]) // _NANOS_PER_MS
    return found


def _reason(reason: Mapping[str, Any]) -> str:
    detail = reason.get("Description") or reason.get("Loss Reason") or reason.get("Kill Reason") or ""
    text = f"{reason.get('Reason', 'unknown')} {reason.get('Class Name', '')} {detail}"
    return " ".join(text.split())


def _texts(values: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in (values or {}).items()}


def read_application(path: Path) -> SparkApplication:
    """Return the application that an event log describes, a file or the folder of a rolling log.

    Raises:
        InputError: not an event log, or an event that lacks a field; names file and line.
    """
    reader = _Reader()
    for file, number, event in spark_events(path):
        try:
            reader.take(str(event["Event"]), event)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{file}: line {number}: {reason}") from error
    if reader.application.started_ms is None:
        raise InputError(
            f"{path}: contains no SparkListenerApplicationStart: not a Spark event log, or a later part of one "
            "(import the folder of a rolling log)"
        )
    return reader.finish()


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


def _query_table(application: SparkApplication) -> Any:
    import pyarrow as pa

    from framework_hadoop import tables

    zero = application.started_ms or 0
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

    zero = application.started_ms or 0
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
