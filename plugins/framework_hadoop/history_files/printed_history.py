"""What `mapred job -history [all] -outfile FILE -format json JOB` prints, as events of a history.

The names are those of `JSONHistoryViewerPrinter` in Hadoop 3. It prints one end of each attempt and no status: the
attempt without error that ended last is the one that succeeded, if its task did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Event = tuple[int, str, dict[str, Any]]

_ENDS = {"SUCCEEDED": "JOB_FINISHED", "FAILED": "JOB_FAILED", "KILLED": "JOB_KILLED", "ERROR": "JOB_ERROR"}


def printed_events(job: Mapping[str, Any]) -> Iterator[Event]:
    """Yield (line, kind, event). Raises `KeyError` for a field that lacks, `TypeError` for one of another kind."""
    for kind, event in _events(job):
        yield 1, kind, event


def _events(job: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    base = {"jobid": str(job["hadoopJob"])}
    summary = job.get("taskSummary") or {}
    yield (
        "JOB_SUBMITTED",
        {
            **base,
            "jobName": job.get("jobName"),
            "userName": job.get("user"),
            "submitTime": int(job["submittedAt"]),
        },
    )
    if int(job.get("launchedAt") or 0) > 0:
        totals = {
            f"total{word}": int(summary.get(kind, {}).get("total", -1))
            for word, kind in (("Maps", "map"), ("Reduces", "reduce"))
        }
        yield "JOB_INITED", {**base, "launchTime": int(job["launchedAt"]), **totals}
    for task in job.get("tasks") or ():
        yield from _task(task)
    end = _ENDS.get(str(job.get("status")).upper())
    if end is not None:
        yield (
            end,
            {
                **base,
                "finishTime": int(job["finishedAt"]),
                "finishedMaps": int(summary.get("map", {}).get("successful", -1)),
                "finishedReduces": int(summary.get("reduce", {}).get("successful", -1)),
                "totalCounters": {"groups": list(_groups(job.get("counters") or {}))},
            },
        )


def _groups(counters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, counts in counters.items():
        listed = [
            {"name": count["counterName"], "value": count.get("totalValue", count.get("value"))}
            for count in counts
        ]
        yield {"name": name, "counts": listed}


def _task(task: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = str(task["type"])
    prefix = kind if kind in ("MAP", "REDUCE") else "SETUP" if "SETUP" in kind else "CLEANUP"
    attempts = list(task.get("attempts") or ())
    clean = [item for item in attempts if not item.get("error") and int(item.get("finishTime") or 0) > 0]
    done = max(clean, key=lambda item: int(item["finishTime"])) if clean else None
    succeeded = str(task.get("status")) == "SUCCEEDED"
    for item in attempts:
        event: dict[str, Any] = {
            "taskid": str(task["taskId"]),
            "attemptId": str(item["attemptId"]),
            "taskType": kind,
            "startTime": int(item["startTime"]),
            "hostname": item.get("hostName"),
            "error": item.get("error") or None,
            "shuffleFinishTime": item.get("shuffleFinished"),
            "sortFinishTime": item.get("sortFinished"),
        }
        yield f"{prefix}_ATTEMPT_STARTED", event
        if int(item.get("finishTime") or 0) > 0:
            ended = "FAILED" if item.get("error") else "FINISHED" if succeeded and item is done else "KILLED"
            yield f"{prefix}_ATTEMPT_{ended}", {**event, "finishTime": int(item["finishTime"])}
