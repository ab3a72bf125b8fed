"""MapReduce job history files (`.jhist`): jobs, task attempts with their phases, counters.

A file is the word `Avro-Json`, the Avro schema, then one JSON event a line. A value of a union type is wrapped
in an object whose only key is its type (`{"string": "x"}`, `{"int": 3}`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.contracts import ImportedRun, Metric, Result
from framework.errors import InputError
from framework_hadoop.engines import job_result as outcome
from framework_hadoop.engines.run_report import JobReport, RunReport, TaskReport

_MAGIC = "Avro-Json"
_UNION_TYPES = frozenset({"string", "int", "long", "double", "boolean", "array", "map"})
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
            sum(task.kind == "reduce" and task.succeeded for task in self.attempts),
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
    for number, kind, event in _events(file):
        try:
            _take(history, started, kind, event)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{file}: line {number}: event {kind}: {reason}") from error
    if not history.job_id:
        raise InputError(f"{file}: contains no JOB_SUBMITTED event")
    return history


def _events(file: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: {error}") from error
    if not lines or lines[0].strip() != _MAGIC:
        raise InputError(f"{file}: line 1: not a job history, which begins with '{_MAGIC}'")
    for number, line in enumerate(lines[2:], start=3):
        if not line.strip():
            continue
        try:
            outer = json.loads(line)
            ((_, event),) = outer["event"].items()
            yield number, str(outer["type"]), {key: _unwrapped(value) for key, value in event.items()}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            if number == len(lines):
                return  # a history that was being written: everything before is good
            raise InputError(f"{file}: line {number}: not a history event") from error


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in _UNION_TYPES or name.startswith("org.apache.hadoop."):
            return inner
    return value


def _take(history: JobHistory, started: dict[str, dict[str, Any]], kind: str, event: dict[str, Any]) -> None:
    if kind == "JOB_SUBMITTED":
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


def with_history(report: RunReport, folder: Path) -> None:
    """Add the task attempts of the history files in a folder to a report, job by job.

    On a cluster tasks run in other processes, so only the history knows them. A job without a file stays
    without tasks.
    """
    for job in report.jobs:
        for file in sorted(folder.glob(f"{job.job_id}*.jhist")):
            report.tasks += [replace(task, job_id=job.job_id) for task in read_history(file).attempts]


def read_runs(file: Path) -> Iterator[ImportedRun]:
    """Yield the run of a history file for `import jhist FILE`. Raises `InputError` naming file and line."""
    history = read_history(file)
    report = history.report
    metrics = [*outcome.counter_metrics(report)]
    duration_s = report.jobs[0].duration_s
    if duration_s is not None:
        metrics.append(Metric("exe_time_s", duration_s, "s", "jhist"))
    else:
        metrics.append(Metric.absent("exe_time_s", "the history ends before the job does", "s", "jhist"))
    for kind in ("map", "reduce"):
        done = sum(task.kind == kind and task.succeeded for task in history.attempts)
        metrics.append(Metric(f"{kind}_tasks", float(done), "", "jhist"))
    failed = sum(task.status == "failed" for task in history.attempts)
    metrics.append(Metric("failed_task_attempts", float(failed), "", "jhist"))
    config = {"workload": {"name": history.name}, "backend": {"name": "hadoop", "queue": history.queue}}
    facts = {"user": history.user, "uberized": history.uberized, "diagnostics": history.diagnostics}
    yield ImportedRun(
        origin_id=history.job_id,
        experiment="import:jhist",
        backend="hadoop",
        config=config,
        result=Result(
            metrics, outcome.run_tables(report, None, shared_process=False), facts, _checks(history)
        ),
    )


def _checks(history: JobHistory) -> list[Any]:
    from framework.contracts import SanityCheck

    if history.status == "succeeded":
        return [SanityCheck("job_succeeded", "pass")]
    return [
        SanityCheck("job_succeeded", "fail", f"{history.status}: {history.diagnostics or 'no diagnostics'}")
    ]
