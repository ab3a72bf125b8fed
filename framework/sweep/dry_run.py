"""`--dry-run`: what a study would run, point by point, and what of it is done; nothing is started or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from framework.analysis.number_format import count_noun
from framework.contracts import TableBlock
from framework.report.terminal.terminal_tables import console, print_table
from framework.store.side_files.sweep_plans import SweepPlan
from framework.sweep.grid import Point

_ORDER = ("open", "failed", "running", "done")


def point_states(outputs: Path | str, job_keys: Sequence[str]) -> dict[str, str]:
    """Return the state of each job key: `done`, `running`, `failed` or `open`."""
    from framework.store.bundles.heartbeat import read_running
    from framework.store.lookup import done_job_keys, failed_job_keys

    states = dict.fromkeys(job_keys, "open")
    states |= dict.fromkeys(failed_job_keys(outputs, job_keys), "failed")
    running = {run.record.job_key for run in read_running(outputs) if run.status == "running"}
    states |= {key: "running" for key in job_keys if key in running}
    states |= dict.fromkeys(done_job_keys(outputs, job_keys), "done")
    return states


def show_plan(outputs: Path | str, plan: SweepPlan, points: Sequence[Point], resume: bool) -> None:
    """Print the points of a study with their states, and how many there are of each."""
    states = point_states(outputs, plan.job_keys)
    rows = [
        (point.index, states[key], point.description or "(one configuration)")
        for key, point in zip(plan.job_keys, points, strict=True)
    ]
    print_table(TableBlock(f"{plan.sweep_id} (nothing is started)", ("point", "state", "overrides"), rows))
    counts = Counter(states.values())
    words = ", ".join(f"{counts[state]} {state}" for state in _ORDER if counts[state])
    again = "" if resume else "; resume=false runs all of them"
    console().print(f"{count_noun(len(points), 'run')}: {words}{again}", soft_wrap=True)
