"""A MapReduce job as its history reports it: its job, task attempts with their phases, counters.

Three counts are kept apart: *tasks*, *attempts* (a task that fails, or whose node is lost, is tried
again), and *events* (an attempt that had succeeded ends a second time when its node is lost).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Metric, Result, SanityCheck
from framework.errors import InputError
from framework.identity.run_key import canonical_hash
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport
from framework_hadoop.history_files.job_configuration import (
    backend_settings,
    cluster_name,
    configuration_beside,
    read_properties,
)
from framework_hadoop.history_files.job_events import job_events

_JOB_ENDS = {
    "JOB_FINISHED": "succeeded",
    "JOB_FAILED": "failed",
    "JOB_KILLED": "killed",
    "JOB_ERROR": "failed",
}


@dataclass
class JobHistory:
    """One job as its history reports it.

    Attributes:
        status: succeeded, failed, killed, or running where the history breaks off.
        submitted_ms, launched_ms, finished_ms: milliseconds since the epoch.
        diagnostics: why it failed.
        attempts: one entry each.
        finished_tasks: how many map and reduce tasks finished, as the job's end says.
        events: how many events were read.
    """

    job_id: str = ""
    name: str = ""
    user: str = ""
    queue: str = ""
    status: str = "running"
    submitted_ms: int = 0
    launched_ms: int | None = None
    finished_ms: int | None = None
    diagnostics: str | None = None
    uberized: bool = False
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    attempts: list[TaskReport] = field(default_factory=list)
    finished_tasks: dict[str, int] = field(default_factory=dict)
    events: int = 0

    @property
    def complete(self) -> bool:
        """Whether the history reaches to the job's end."""
        return self.status != "running"

    def tasks(self, kind: str) -> set[str]:
        """Return the tasks of a kind that have an attempt."""
        return {attempt.task_id for attempt in self.attempts if attempt.kind == kind}

    @property
    def report(self) -> RunReport:
        """The same facts as a run's report."""
        job = JobReport(
            self.job_id,
            self.name,
            "run",
            self.submitted_ms,
            self.finished_ms,
            self.status == "succeeded",
            len(self.tasks("reduce")),
            self.diagnostics,
            self.counters,
        )
        return RunReport([job], list(self.attempts))


def read_history(file: Path) -> JobHistory:
    """Return the job that a history file describes.

    Raises:
        InputError: not a history file, or a line that is not an event; names file and line.
    """
    history = JobHistory()
    started: dict[str, dict[str, Any]] = {}
    for number, kind, event in job_events(file):
        try:
            _take(history, started, kind, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{file}: line {number}: event {kind}: {reason}") from error
        history.events += 1
    if not history.job_id:
        raise InputError(f"{file}: contains no JOB_SUBMITTED event")
    history.attempts = list(_each_once(history.attempts))
    return history


def _each_once(ends: list[TaskReport]) -> Iterator[TaskReport]:
    """Yield each attempt once: it ended when it first did, and how it last did (its node may be lost later)."""
    by_attempt: dict[tuple[str, int], list[TaskReport]] = {}
    for end in ends:
        by_attempt.setdefault((end.task_id, end.attempt), []).append(end)
    for first, *later in by_attempt.values():
        if not later:
            yield first
            continue
        last = later[-1]
        yield replace(first, succeeded=last.succeeded, killed=last.killed, error=last.error or first.error)


def _take(history: JobHistory, started: dict[str, dict[str, Any]], kind: str, event: dict[str, Any]) -> None:
    if "jobid" in event and history.job_id and event["jobid"] != history.job_id:
        raise ValueError(
            f"is of {event['jobid']}, the history of {history.job_id}: two histories in one file"
        )
    if kind == "JOB_SUBMITTED":
        if history.job_id:
            raise ValueError("the job was submitted before: two histories in one file")
        history.job_id = event["jobid"]
        history.name = event.get("jobName") or ""
        history.user = event.get("userName") or ""
        history.queue = event.get("jobQueueName") or ""
        history.submitted_ms = int(event["submitTime"])
    elif kind == "JOB_INITED":
        history.launched_ms = int(event["launchTime"])
        history.uberized = bool(event.get("uberized", False))
    elif kind in _JOB_ENDS:
        history.status = _JOB_ENDS[kind]
        history.finished_ms = int(event["finishTime"])
        history.diagnostics = event.get("diagnostics") or None
        history.counters = _counters(event.get("totalCounters"))
        told = {"map": event.get("finishedMaps"), "reduce": event.get("finishedReduces")}
        history.finished_tasks = {name: int(count) for name, count in told.items() if count is not None}
    elif kind.endswith("_ATTEMPT_STARTED"):
        started[event["attemptId"]] = event
    elif kind.endswith(("_ATTEMPT_FINISHED", "_ATTEMPT_FAILED", "_ATTEMPT_KILLED")):
        history.attempts.append(_attempt(history.job_id, kind, event, started.get(event["attemptId"], {})))


def _attempt(job_id: str, kind: str, event: dict[str, Any], began: Mapping[str, Any]) -> TaskReport:
    task_kind = str(event.get("taskType") or kind.split("_")[0]).lower()
    finished = int(event["finishTime"])
    by_name = {
        name: value for group in _counters(event.get("counters")).values() for name, value in group.items()
    }
    is_map = task_kind == "map"
    return TaskReport(
        job_id=job_id,
        task_id=event["taskid"],
        attempt=int(str(event["attemptId"]).rpartition("_")[2]),
        kind=task_kind,
        started_ms=int(began.get("startTime", event.get("startTime", finished))),
        function_started_ms=None if is_map else _moment(event, "sortFinishTime"),
        function_finished_ms=_moment(event, "mapFinishTime") if is_map else None,
        finished_ms=finished,
        succeeded=kind.endswith("FINISHED"),
        counters=by_name,
        shuffle_finished_ms=_moment(event, "shuffleFinishTime"),
        killed=kind.endswith("KILLED"),
        host=event.get("hostname") or began.get("trackerName"),
        error=event.get("error") or None,
    )


def _moment(event: Mapping[str, Any], name: str) -> int | None:
    value = event.get(name)
    return int(value) if value and int(value) > 0 else None


def _counters(value: Any) -> dict[str, dict[str, int]]:
    if not value:
        return {}
    return {
        str(group["name"]): {str(count["name"]): int(count["value"]) for count in group["counts"]}
        for group in value["groups"]
    }


def with_history(report: RunReport, folder: Path) -> list[SanityCheck]:
    """Add the task attempts of the history files in a folder to a report, job by job.

    On a cluster tasks run in other processes, so only the history knows them. A job without a file, or with one that
    can't be read, stays without tasks. Returns a warning for each file that could not be read: the run is done
    without it.
    """
    troubles = []
    for job in report.jobs:
        for file in sorted(folder.glob(f"{job.job_id}*.jhist*")):
            try:
                found = read_history(file).attempts
            except InputError as error:
                troubles.append(
                    SanityCheck(
                        "job_history", "warn", f"tasks are unknown: {str(error).replace(str(folder), '.')}"
                    )
                )
                continue
            report.tasks += [replace(task, job_id=job.job_id) for task in found]
            break  # a second file is the same history in another form
    return troubles


_BENCHMARKS = {
    "terasort": "terasort",
    "teragen": "teragen",
    "word count": "wordcount",
    "wordcount": "wordcount",
    "sorter": "sort",
    "sort": "sort",
    "grep-search": "grep",
    "random-text-writer": "prep_wordcount",
}
"""Benchmarks by the names under which Hadoop's own programs submit them (its examples)."""


def read_runs(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of a history file for `import jhist FILE`, with the knobs of `job_*_conf.xml` beside it.

    Raises `InputError` naming file and line.
    """
    history = read_history(file)
    report = history.report
    properties, notes = _properties(file, history.job_id)
    backend = {"name": "hadoop", "queue": history.queue, **backend_settings(properties)}
    benchmark = _BENCHMARKS.get(history.name.strip().lower())
    config: dict[str, Any] = {
        "workload": {"name": history.name, **({"benchmark": benchmark} if benchmark else {})},
        "backend": backend,
    }
    cluster = cluster_name(properties)
    if cluster:
        config["cluster"] = {"cluster": cluster}
    facts = {
        "user": history.user,
        "uberized": history.uberized,
        "diagnostics": history.diagnostics,
        "history_events": history.events,
        "hosts": len({attempt.host for attempt in history.attempts if attempt.host}) or None,
        "properties_in_file": len(properties),
    }
    yield ImportedRun(
        origin_id=history.job_id,
        experiment="import:jhist",
        backend="hadoop",
        config=config,
        result=Result(
            _metrics(history, report),
            outcome.run_tables(report, None, shared_process=False),
            facts,
            list(_checks(history)),
        ),
        content=canonical_hash([_identity(history), config]),
        notes=notes,
        complete=history.complete,
        begin=canonical_hash([history.job_id, history.submitted_ms]) if history.submitted_ms else "",
        extent=history.events,
    )


def _identity(history: JobHistory) -> Any:
    """Return what the history says of the job, the same for each form that a history can have."""
    attempts = sorted(
        (task.task_id, task.attempt, task.status, task.started_ms, task.finished_ms or 0)
        for task in history.attempts
    )
    plain = asdict(replace(history, attempts=[], events=0))
    kept = ("job_id", "name", "status", "submitted_ms", "finished_ms", "counters")
    return [{name: plain[name] for name in kept}, attempts]


def _properties(file: Path, job_id: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    beside = configuration_beside(file, job_id)
    if beside is None:
        return {}, [f"no {job_id}_conf.xml next to {file.name}: the job's knobs are unknown"]
    try:
        return read_properties(beside), []
    except InputError as error:
        return {}, [f"the job's knobs are unknown: {error}"]


def _metrics(history: JobHistory, report: RunReport) -> list[Metric]:
    metrics = [*outcome.counter_metrics(report)]
    duration_s = report.jobs[0].duration_s
    if duration_s is not None:
        metrics.append(Metric("exe_time_s", duration_s, "s", "jhist"))
    else:
        metrics.append(Metric.absent("exe_time_s", "the history ends before the job does", "s", "jhist"))
    for kind in ("map", "reduce"):
        metrics.append(Metric(f"{kind}_tasks", float(len(history.tasks(kind))), "", "jhist"))
    metrics.append(Metric("task_attempts", float(len(history.attempts)), "", "jhist"))
    for word in ("failed", "killed"):
        count = sum(task.status == word for task in history.attempts)
        metrics.append(Metric(f"{word}_task_attempts", float(count), "", "jhist"))
    return metrics


def _checks(history: JobHistory) -> Iterator[SanityCheck]:
    if history.status == "succeeded":
        yield SanityCheck("job_succeeded", "pass")
    elif history.complete:
        detail = f"{history.status}: {history.diagnostics or 'no diagnostics'}"
        yield SanityCheck("job_succeeded", "fail", detail)
    else:
        yield SanityCheck("job_succeeded", "fail", "the history ends before the job does")
    yield from _doubts(history)


def _doubts(history: JobHistory) -> Iterator[SanityCheck]:
    """Yield what contradicts itself in a history."""
    for kind, told in history.finished_tasks.items():
        ended = {task.task_id for task in history.attempts if task.kind == kind and task.succeeded}
        if history.attempts and told >= 0 and history.status == "succeeded" and told != len(ended):
            detail = (
                f"the job's end counts {told} finished {kind} tasks, its attempts are those of {len(ended)}"
            )
            yield SanityCheck("tasks_agree", "warn", detail)
    if history.finished_ms is not None and history.finished_ms < history.submitted_ms:
        yield SanityCheck("times_in_order", "fail", "the job ends before it was submitted")
    late = [
        task
        for task in history.attempts
        if task.finished_ms is not None
        and (
            task.finished_ms < task.started_ms
            or (history.finished_ms is not None and task.started_ms > history.finished_ms)
            or task.started_ms < history.submitted_ms
        )
    ]
    if late:
        detail = (
            f"{late[0].task_id} attempt {late[0].attempt} is not within its job, or ends before it starts"
        )
        yield SanityCheck("times_in_order", "fail", detail)
