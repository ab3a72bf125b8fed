"""A Spark application as its event log reports it: jobs, task attempts, executors, SQL queries.

An event log is JSON lines, each with an `Event` name (Spark's `JsonProtocol`). Tasks, attempts, and the events that
tell of them are three counts: a task whose output is lost with its executor ends a second time (`Resubmitted`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport
from framework_hadoop.history_files.spark_log_files import spark_events

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
