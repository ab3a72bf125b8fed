"""Spark event logs: applications, jobs, task attempts, and the tasks' metrics added up by job.

An event log is JSON lines, each with an `Event` name (Spark's `JsonProtocol`). A rolling log is a folder
`eventlog_v2_*` with `events_N_*` files; one file of it, or a whole single-file log, is what is read here.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.errors import InputError
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport

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
class SparkApplication:
    """One application as its event log reports it.

    Attributes:
        jobs, tasks: as in a run's report; a task's kind is its stage (`stage 3`).
        started_ms, ended_ms: of the application; `ended_ms` is None where the log breaks off.
        properties: Spark's own configuration.
    """

    application_id: str = ""
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


class _Reader:
    """Takes events in their order and builds the application."""

    def __init__(self) -> None:
        self.application = SparkApplication()
        self._job_of_stage: dict[int, str] = {}
        self._open: dict[str, dict[str, Any]] = {}
        self._sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def take(self, kind: str, event: dict[str, Any]) -> None:
        """Take one event; the many kinds that say nothing here are passed over."""
        application = self.application
        if kind == "SparkListenerLogStart":
            application.version = event.get("Spark Version")
        elif kind == "SparkListenerApplicationStart":
            application.application_id = event.get("App ID") or ""
            application.name = event["App Name"]
            application.started_ms = int(event["Timestamp"])
        elif kind == "SparkListenerEnvironmentUpdate":
            application.properties = dict(event.get("Spark Properties") or {})
        elif kind == "SparkListenerApplicationEnd":
            application.ended_ms = int(event["Timestamp"])
        elif kind == "SparkListenerJobStart":
            self._job_started(event)
        elif kind == "SparkListenerTaskEnd":
            self._task_ended(event)
        elif kind == "SparkListenerJobEnd":
            self._job_ended(event)

    def _job_started(self, event: dict[str, Any]) -> None:
        job_id = f"job_{event['Job ID']}"
        self._open[job_id] = event
        for stage in event["Stage IDs"]:
            # a later job lists a stage again if it reuses its output: it ran in the first
            self._job_of_stage.setdefault(int(stage), job_id)

    def _task_ended(self, event: dict[str, Any]) -> None:
        info, stage = event["Task Info"], int(event["Stage ID"])
        job_id = self._job_of_stage.get(stage, "")
        counters = _task_counters(event.get("Task Metrics") or {})
        for name, value in counters.items():
            self._sums[job_id][name] += value
        reason = event.get("Task End Reason") or {}
        succeeded = reason.get("Reason") == "Success"
        self.application.tasks.append(
            TaskReport(
                job_id=job_id,
                task_id=f"{stage}.{event.get('Stage Attempt ID', 0)}.{info['Index']}",
                attempt=int(info["Attempt"]),
                kind=f"stage {stage}",
                started_ms=int(info["Launch Time"]),
                function_started_ms=None,
                function_finished_ms=None,
                finished_ms=int(info["Finish Time"]) or None,
                succeeded=succeeded,
                counters=counters,
                killed=bool(info.get("Killed")),
                host=info.get("Host"),
                error=None if succeeded else _reason(reason),
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
        name = self.application.name
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


def read_application(file: Path) -> SparkApplication:
    """Return the application that an event log describes.

    Raises:
        InputError: not an event log, or an event that lacks a field; names file and line.
    """
    reader = _Reader()
    for number, event in _events(file):
        try:
            reader.take(str(event["Event"]), event)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{file}: line {number}: {reason}") from error
    if reader.application.started_ms is None:
        raise InputError(f"{file}: contains no SparkListenerApplicationStart: not a Spark event log")
    return reader.finish()


def _events(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"{file}: not readable as text or .gz: {error}") from error
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
        except ValueError as error:
            if number == len(lines) > 1:
                return  # a log that was being written: everything before is good
            raise InputError(f"{file}: line {number}: not JSON, so not a Spark event log") from error
        if not isinstance(event, dict) or "Event" not in event:
            raise InputError(f"{file}: line {number}: not a Spark event")
        yield number, event


def read_runs(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of an event log for `import spark FILE`. Raises `InputError` naming file and line."""
    application = read_application(file)
    report = application.report
    metrics = outcome.spark_metrics(report)
    if any(job.finished_ms is not None for job in application.jobs):
        begin, end = outcome.measured_window(report)
        metrics.append(Metric("exe_time_s", (end - begin) / 1000, "s", "event log"))
    else:
        metrics.append(Metric.absent("exe_time_s", "no job of the application ended", "s", "event log"))
    failed = [job for job in application.jobs if not job.succeeded]
    detail = f"{len(failed)} of {len(application.jobs)} jobs failed: {failed[0].error}" if failed else ""
    yield ImportedRun(
        origin_id=application.application_id or f"{application.name}-{application.started_ms}",
        experiment="import:spark",
        backend="spark",
        config={
            "workload": {"name": application.name},
            "backend": {"name": "spark", "master": application.properties.get("spark.master")},
        },
        result=Result(
            metrics,
            outcome.run_tables(report, None, shared_process=False),
            {"spark_version": application.version, "properties": dict(application.properties)},
            [SanityCheck("jobs_succeeded", "fail" if failed else "pass", detail)],
        ),
    )
