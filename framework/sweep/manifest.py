"""The identity of a sweep: what was asked, in which configuration, and whether that has changed since.

`outputs/sweeps/<sweep_id>.json` holds the base configuration, all points and their job keys. The sweep id is
a hash of these, so that the same command on the same code *is* the same sweep and resumes it; a changed
configuration is another sweep, and the user is told which keys changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from framework.configuration.study_config import flatten
from framework.contracts import Json
from framework.run_key import canonical_hash, input_file_stamps, job_key, utc_now, without_volatile
from framework.store import durable
from framework.store.layout import sweeps_folder
from framework.sweep.grid import Point

_SHOWN_CHANGES = 6
_ABSENT = "(absent)"


@dataclass(frozen=True)
class Manifest:
    """A sweep as it was planned.

    Attributes:
        base: leaves of the base configuration (before any point's overrides), without volatile keys.
        points: all points of the study; `job_keys` runs parallel to it.
    """

    sweep_id: str
    experiment: str
    planned_at: str
    code_version: str
    base: Mapping[str, Json]
    points: Sequence[Point]
    job_keys: Sequence[str]


def plan(experiment: str, config: Mapping[str, Json], code: str, points: Sequence[Point]) -> Manifest:
    """Return the manifest of a sweep over `points` of a base configuration."""
    described = without_volatile(config)
    base_hash = canonical_hash([described, code, input_file_stamps(described)])
    keys = _job_keys(base_hash, points)
    unrepeated = sorted({" ".join(sorted(point.overrides)) for point in points})
    sweep_id = f"{experiment}-{canonical_hash([base_hash, unrepeated])[:10]}"
    return Manifest(sweep_id, experiment, utc_now(), code, dict(flatten(described)), points, keys)


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


def save(outputs: Path, manifest: Manifest) -> Path:
    """Write the manifest, whole or not at all.

    Raises:
        StoreError: the folder can't be written.
    """
    file = sweeps_folder(outputs) / f"{manifest.sweep_id}.json"
    durable.write_whole(file, json.dumps(asdict(manifest), default=str).encode())
    return file


def changes_since_last(outputs: Path, manifest: Manifest) -> list[str]:
    """Return what differs from the experiment's most recent other sweep, as readable lines; empty if none.

    A sweep whose configuration changed shares no job with its predecessor: say so before work is repeated.
    """
    earlier = _latest_other(outputs, manifest)
    if earlier is None:
        return []
    before, now = earlier["base"], json.loads(json.dumps(manifest.base, default=str))
    lines = [
        f"{key}: {before.get(key, _ABSENT)} → {now.get(key, _ABSENT)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, _ABSENT) != now.get(key, _ABSENT)
    ]
    if earlier["code_version"] != manifest.code_version:
        lines.append(f"code: {earlier['code_version']} → {manifest.code_version}")
    if len(lines) > _SHOWN_CHANGES:
        lines = [*lines[:_SHOWN_CHANGES], f"and {len(lines) - _SHOWN_CHANGES} more"]
    return lines


def _latest_other(outputs: Path, manifest: Manifest) -> dict[str, Json] | None:
    folder = sweeps_folder(outputs)
    if not folder.is_dir():
        return None
    files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files:
        try:
            found = json.loads(file.read_text())
            if found["experiment"] == manifest.experiment and found["sweep_id"] != manifest.sweep_id:
                return {"base": dict(found["base"]), "code_version": str(found["code_version"])}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a torn or foreign file can't be compared with
    return None
