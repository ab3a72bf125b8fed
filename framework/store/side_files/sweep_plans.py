"""The plans of sweeps: `outputs/sweeps/<sweep_id>.json` holds what a sweep was asked to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from framework.contracts import Json
from framework.errors import StoreError
from framework.store.durable import os_reason, write_whole
from framework.store.layout import sweeps_folder


@dataclass(frozen=True)
class SweepPlan:
    """A sweep as it was planned.

    Attributes:
        planned_at: UTC, ISO 8601.
        base: leaves of the base configuration (before any point's overrides), without volatile keys.
        points: index, overrides and repeat of every point of the study; `job_keys` runs parallel to it.
        done_elsewhere: job key to run id of points that turned out to be done when they were started: a run of
            another command that came to the same configuration.
    """

    sweep_id: str
    experiment: str
    planned_at: str
    code_version: str
    base: Mapping[str, Json]
    points: Sequence[Mapping[str, Json]]
    job_keys: Sequence[str]
    done_elsewhere: Mapping[str, str] = field(default_factory=dict)


def save_plan(outputs: Path, plan: SweepPlan) -> Path:
    """Write a plan, whole or not at all, and return its file; raises `StoreError` if that fails."""
    file = sweeps_folder(outputs) / f"{plan.sweep_id}.json"
    write_whole(file, json.dumps(asdict(plan), default=str).encode())
    return file


def read_plans(outputs: Path) -> list[SweepPlan]:
    """Return the plans in an outputs folder, the one that was written last at the end.

    A file that is torn or foreign is left out: a plan only says what belongs together, the runs are in the store.
    """
    found = []
    for file in sweeps_folder(outputs).glob("[!.]*.json"):
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            plan = SweepPlan(
                **{item.name: stored[item.name] for item in fields(SweepPlan) if item.name in stored}
            )
            if isinstance(plan.base, dict) and isinstance(plan.job_keys, list):
                found.append((file.stat().st_mtime_ns, plan))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
        except OSError as error:  # "there is no such sweep" would be a guess
            raise StoreError(f"can't read {file}: {os_reason(error)}") from error
    return [plan for _, plan in sorted(found, key=lambda dated: dated[0])]
