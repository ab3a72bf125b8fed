"""Histories of Hadoop 0.20 and 1: `Kind KEY="VALUE" … .`, one record after the other, as events of Hadoop 2 and 3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Event = tuple[int, str, dict[str, Any]]

_PAIR = re.compile(r'\s*(\w+)="((?:[^"\\]|\\.)*)"', re.DOTALL)
_KIND = re.compile(r"\s*(\w+)")
_END = re.compile(r"\s*\.\s*$")
_COUNTER = re.compile(r"\[\((.*?)\)\((.*?)\)\((-?\d+)\)\]", re.DOTALL)
_GROUP = re.compile(r"\{\((.*?)\)\((.*?)\)((?:\[.*?\])*)\}", re.DOTALL)
_JOB_ENDS = {"SUCCESS": "JOB_FINISHED", "FAILED": "JOB_FAILED", "KILLED": "JOB_KILLED"}
_ATTEMPT_ENDS = {"SUCCESS": "FINISHED", "FAILED": "FAILED", "KILLED": "KILLED"}
_ATTEMPTS = ("MapAttempt", "ReduceAttempt")


def is_hadoop1(text: str) -> bool:
    """Say whether a text begins as such a history does."""
    return bool(re.match(r'(?:Meta VERSION|Job JOBID)="', text))


def hadoop1_events(text: str) -> Iterator[Event]:
    """Yield (line number, kind, event). A record that breaks off at the end is left out.

    Raises:
        ValueError: a record that can't be read; names its line.
    """
    records = list(_records(text))
    for place, (number, record) in enumerate(records):
        kind = _KIND.match(record)
        values, end = {}, kind.end() if kind else 0
        while found := _PAIR.match(record, end):
            if found[1] in values:
                raise ValueError(f"line {number}: {found[1]} is in a record twice")
            values[found[1]], end = re.sub(r"\\(.)", r"\1", found[2]), found.end()
        if kind is None or not _END.match(record[end:]):
            if place == len(records) - 1:
                return
            raise ValueError(f"line {number}: not a record of a Hadoop 1 history")
        try:
            yield from _events(number, kind[1], values, record)
        except KeyError as error:
            raise ValueError(f"line {number}: {kind[1]}: no {error}") from None


def _records(text: str) -> Iterator[tuple[int, str]]:
    """Yield records with the number of their first line; a value may hold line ends."""
    held, begin = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not held and not line.strip():
            continue
        begin = begin if held else number
        held = f"{held}\n{line}" if held else line
        if line.rstrip().endswith(" .") or line.strip() == ".":
            yield begin, held
            held = ""
    if held:
        yield begin, held


def _events(number: int, kind: str, values: dict[str, str], record: str) -> Iterator[Event]:
    if kind == "Job":
        yield from ((number, name, event) for name, event in _job(values, record))
    elif kind in _ATTEMPTS:
        yield (number, *_attempt(kind, values, record))
    elif kind == "Task" and "START_TIME" in values:
        yield number, "TASK_STARTED", {"taskid": values["TASKID"], "taskType": values.get("TASK_TYPE", "")}


def _job(values: dict[str, str], record: str) -> Iterator[tuple[str, dict[str, Any]]]:
    base = {"jobid": values["JOBID"]}
    if "SUBMIT_TIME" in values:
        more = {
            "jobName": values.get("JOBNAME"),
            "userName": values.get("USER"),
            "jobQueueName": values.get("JOB_QUEUE"),
            "submitTime": int(values["SUBMIT_TIME"]),
        }
        yield "JOB_SUBMITTED", {**base, **more}
    if "LAUNCH_TIME" in values:
        yield (
            "JOB_INITED",
            {
                **base,
                "launchTime": int(values["LAUNCH_TIME"]),
                "totalMaps": int(values.get("TOTAL_MAPS", -1)),
                "totalReduces": int(values.get("TOTAL_REDUCES", -1)),
            },
        )
    if "FINISH_TIME" in values:
        yield (
            _JOB_ENDS[values.get("JOB_STATUS", "")],
            {
                **base,
                "finishTime": int(values["FINISH_TIME"]),
                "finishedMaps": int(values.get("FINISHED_MAPS", -1)),
                "finishedReduces": int(values.get("FINISHED_REDUCES", -1)),
                "diagnostics": values.get("FAIL_REASON"),
                "totalCounters": _counters(values.get("COUNTERS", "")),
            },
        )


def _attempt(kind: str, values: dict[str, str], record: str) -> tuple[str, dict[str, Any]]:
    task_type = values.get("TASK_TYPE", kind.removesuffix("Attempt").upper())
    event: dict[str, Any] = {
        "taskid": values["TASKID"],
        "attemptId": values["TASK_ATTEMPT_ID"],
        "taskType": task_type,
    }
    name = kind.removesuffix("Attempt").upper()
    if "TASK_STATUS" not in values:
        event |= {"startTime": int(values["START_TIME"]), "trackerName": values.get("TRACKER_NAME")}
        return f"{name}_ATTEMPT_STARTED", event
    event |= {
        "finishTime": int(values["FINISH_TIME"]),
        "hostname": values.get("HOSTNAME", "").rpartition("/")[2] or None,
        "error": values.get("ERROR") or None,
        "counters": _counters(values.get("COUNTERS", "")),
    }
    for theirs, ours in (("SHUFFLE_FINISHED", "shuffleFinishTime"), ("SORT_FINISHED", "sortFinishTime")):
        if theirs in values:
            event[ours] = int(values[theirs])
    return f"{name}_ATTEMPT_{_ATTEMPT_ENDS[values['TASK_STATUS']]}", event


def _counters(text: str) -> dict[str, Any]:
    return {
        "groups": [
            {
                "name": name,
                "counts": [
                    {"name": counter, "value": int(value)} for counter, _, value in _COUNTER.findall(counts)
                ],
            }
            for name, _, counts in _GROUP.findall(text)
        ]
    }
