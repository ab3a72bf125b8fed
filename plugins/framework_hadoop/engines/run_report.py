"""What our Java programs report: jobs, tasks, facts, one JSON object a line, readable up to where it broke off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Counters = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class JobReport:
    """One job. Times are milliseconds since the epoch; `finished_ms` is None where its end is not known.

    `counters` are by group and name.
    """

    job_id: str
    step: str
    phase: str
    submitted_ms: int
    finished_ms: int | None
    succeeded: bool
    reduces: int | None
    error: str | None
    counters: Counters

    @property
    def duration_s(self) -> float | None:
        """Seconds from submission to end."""
        return None if self.finished_ms is None else (self.finished_ms - self.submitted_ms) / 1000

    def counter(self, name: str) -> int | None:
        """Return a counter by its name, whatever its group; None if the job does not have it."""
        return next((values[name] for values in self.counters.values() if name in values), None)


@dataclass(frozen=True)
class TaskReport:
    """One task attempt of a job. Times are milliseconds since the epoch.

    Attributes:
        kind: map, reduce, or a Spark stage (`stage 3`).
        function_started_ms, function_finished_ms: begin and end of the map or reduce function itself: before a
            reduce function lie shuffle and merge, after a map function its last sort and merge.
        shuffle_finished_ms: end of a reduce task's fetching, where the engine reports it.
        counters: the task's own, by name.
    """

    job_id: str
    task_id: str
    attempt: int
    kind: str
    started_ms: int
    function_started_ms: int | None
    function_finished_ms: int | None
    finished_ms: int | None
    succeeded: bool
    counters: Mapping[str, int]
    shuffle_finished_ms: int | None = None
    killed: bool = False
    host: str | None = None
    error: str | None = None

    @property
    def status(self) -> str:
        """Return succeeded, failed or killed."""
        return "succeeded" if self.succeeded else "killed" if self.killed else "failed"


@dataclass
class RunReport:
    """All that one process reported."""

    jobs: list[JobReport] = field(default_factory=list)
    tasks: list[TaskReport] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def phase(self, name: str) -> list[JobReport]:
        """Return the jobs of one phase, in the order they ran."""
        return [job for job in self.jobs if job.phase == name]

    def total(self, counter: str) -> int | None:
        """Return a counter summed over the measured jobs; None if no job has it."""
        found = [value for job in self.phase("run") if (value := job.counter(counter)) is not None]
        return sum(found) if found else None


def read_report(file: Path) -> RunReport:
    """Return what a report file holds; an absent file is an empty report, a torn last line is left out."""
    if not file.is_file():
        return RunReport()
    return parse_report(file.read_text(errors="replace").splitlines())


def parse_report(lines: Iterable[str]) -> RunReport:
    """Return what report lines hold."""
    report = RunReport()
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            break  # the process ended in the middle of this line
        event = values.pop("event")
        if event == "job":
            values["counters"] = values["counters"] or {}
            report.jobs.append(JobReport(**values))
        elif event == "task":
            report.tasks.append(TaskReport(**values))
        elif event == "fact":
            report.facts[values["name"]] = values["value"]
    return report


def kept_reports(work: Path, scratch: Path) -> dict[str, Sequence[Path]]:
    """Move what an engine wrote of its jobs out of the work folder, which is removed; return it by kind."""
    found = {
        "job_report": work.glob("*.jsonl"),
        "job_history": work.glob("*.jhist"),
        "event_log": (work / "events").glob("*"),
    }
    moved = {
        name: [Path(shutil.move(file, scratch / file.name)) for file in sorted(files)]
        for name, files in found.items()
    }
    return {name: files for name, files in moved.items() if files}
