"""How far the sweeps of an outputs folder are, whatever its database holds already."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.store.database.reader import Store, runs_not_ingested
from framework.store.layout import has_database, running_folder
from framework.store.side_files.sweep_plans import read_plans


@dataclass
class SweepState:
    """How far a sweep is.

    Attributes:
        points: number of its runs, repeats included; None where its plan is not there.
        counts: runs by state: done, failed, running, open.
        latest: when its last run began.
        problems: point to reason of those that failed.
        at_work: what its running points are doing.
    """

    name: str
    points: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    latest: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    at_work: dict[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing of it is open or running."""
        return not self.counts["open"] and not self.counts["running"]


_RUNS = """
SELECT sweep_id, job_key, status, run_id, strftime(started_at, '%Y-%m-%d %H:%M:%S'),
       coalesce(failure_stage || ': ' || failure_message, status)
FROM runs WHERE sweep_id IS NOT NULL OR job_key IS NOT NULL ORDER BY started_at, run_id
"""


def sweep_states(outputs: Path) -> list[SweepState]:
    """Return the sweeps of an outputs folder, the one that was planned last at the end.

    Bundles that the database does not hold yet and markers of running runs count.
    """
    by_key: dict[str, tuple[str, str, str, str]] = {}
    latest: dict[str, str] = defaultdict(str)
    done: dict[str, tuple[str, str, str, str]] = {}
    for sweep, key, status, run_id, at, reason in _finished(outputs):
        latest[sweep or ""] = max(latest[sweep or ""], at or "")
        if status == "done":
            done[run_id] = (status, run_id, at, reason)
        if key is not None and by_key.get(key, ("",))[0] != "done":
            by_key[key] = (status, run_id, at, reason)
    running = {run.record.job_key: run for run in _running(outputs)}
    found = []
    for plan in read_plans(outputs):
        state = SweepState(plan.sweep_id, len(plan.job_keys), latest=latest[plan.sweep_id])
        for key, point in zip(plan.job_keys, plan.points, strict=False):
            other = done.get(plan.done_elsewhere.get(key, ""), ("open", "", "", ""))
            status, _, at, reason = by_key.get(key, other)
            words = " ".join(map(str, point.get("overrides") or ())) or "(one configuration)"
            if key in running and status != "done":
                status = "running"
                at_work = running[key]
                state.at_work[words] = f"{100 * at_work.fraction:.0f} % {at_work.doing} (pid {at_work.pid})"
            elif status in ("failed", "stale"):
                status = "failed"
                state.problems[words] = reason
            state.counts[status] += 1
            state.latest = max(state.latest, at)
        found.append(state)
    return found


def _finished(outputs: Path) -> Iterator[tuple[Any, ...]]:
    if has_database(outputs):
        with closing(Store(outputs)) as store:
            yield from store.rows(_RUNS)[1]
    if runs_not_ingested(outputs):
        from framework.store.lookup import newer_records

        for record in newer_records(outputs):
            failure = record.failure
            reason = f"{failure.stage}: {failure.message}" if failure else record.status
            at = record.started_at[:19].replace("T", " ")
            yield record.sweep_id, record.job_key, record.status, record.run_id, at, reason


def _running(outputs: Path) -> list[Any]:
    if not any(running_folder(outputs).glob("[!.]*.json")):
        return []
    from framework.store.bundles.heartbeat import read_running

    return [run for run in read_running(outputs) if run.status == "running"]
