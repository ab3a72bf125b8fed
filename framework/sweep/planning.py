"""The identity of a sweep: what was asked, in which configuration, and whether that has changed since.

`outputs/sweeps/<sweep_id>.json` contains the base configuration, all points and their job keys. The sweep id is
a hash of these, so that the same command on the same code *is* the same sweep and resumes it; a changed
configuration is another sweep, and the changed keys are reported to the user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from framework.configuration.study_config import StudyConfig, flatten
from framework.contracts import Json
from framework.identity.run_key import canonical_hash, input_file_stamps, job_key, utc_now, without_volatile
from framework.store.side_files.sweep_plans import SweepPlan, read_plans
from framework.sweep.grid import Point

_SHOWN_CHANGES = 6
_ABSENT = "(absent)"


def plan_sweep(experiment: str, config: Mapping[str, Json], code: str, points: Sequence[Point]) -> SweepPlan:
    """Return the plan of a sweep over `points` of a base configuration."""
    described = without_volatile(config)
    base_hash = canonical_hash([described, code, input_file_stamps(described)])
    keys = _job_keys(base_hash, points)
    unrepeated = sorted({" ".join(sorted(point.overrides)) for point in points})
    sweep_id = f"{experiment}-{canonical_hash([base_hash, unrepeated])[:10]}"
    return SweepPlan(
        sweep_id, experiment, utc_now(), code, dict(flatten(described)), [asdict(p) for p in points], keys
    )


def _job_keys(base_hash: str, points: Sequence[Point]) -> list[str]:
    """Return the points' job keys; a file that an override names counts with its size and time."""
    stamped: dict[str, list[str]] = {}
    for override in {override for point in points for override in point.overrides}:
        value = override.partition("=")[2].strip("'\"")
        stamped[override] = [override, *map(str, input_file_stamps({"value": value}))]
    return [
        job_key(base_hash, [part for override in point.overrides for part in stamped[override]], point.repeat)
        for point in points
    ]


def changes_since_last(outputs: Path, plan: SweepPlan) -> list[str]:
    """Return what differs from the experiment's most recent other sweep, as readable lines; empty if none.

    A sweep whose configuration changed shares no job with its predecessor: say so before work is repeated. Studies
    without a name have nothing in common.
    """
    if plan.experiment == StudyConfig.experiment:
        return []
    others = [
        saved
        for saved in read_plans(outputs)
        if saved.experiment == plan.experiment and saved.sweep_id != plan.sweep_id
    ]
    if not others:
        return []
    earlier = others[-1]
    before, now = earlier.base, json.loads(json.dumps(plan.base, default=str))
    lines = [
        f"{key}: {before.get(key, _ABSENT)} → {now.get(key, _ABSENT)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, _ABSENT) != now.get(key, _ABSENT)
    ]
    if earlier.code_version != plan.code_version:
        lines.append(f"code: {earlier.code_version} → {plan.code_version}")
    if len(lines) > _SHOWN_CHANGES:
        lines = [*lines[:_SHOWN_CHANGES], f"and {len(lines) - _SHOWN_CHANGES} more"]
    return lines
