"""The files that a run keeps: the ends of its logs, and any of them to download."""

from __future__ import annotations

import re
from pathlib import Path

from framework.dashboard.address import Asked, NotThereError, RefusedError
from framework.dashboard.desk import Desk
from framework.store.bundles.artifact_files import ArtifactFile, artifact_files

_MOST_FILES = 500
_LOG_END = 48 * 1024
_MOST_LOGS = 4
_MOST_DOWNLOAD = 128 * 2**20


def files_of(desk: Desk, run_id: str) -> list[ArtifactFile]:
    """Return the files of a run."""
    return artifact_files(desk.store, desk.outputs, [run_id], _MOST_FILES)


def log_ends(desk: Desk, files: list[ArtifactFile]) -> list[tuple[str, str]]:
    """Return the path and the end of each of a run's first logs."""
    found: list[tuple[str, str]] = []
    for file in files:
        place = _place(desk, file) if file.name == "log" and len(found) < _MOST_LOGS else None
        if place is not None:
            with place.open("rb") as log:
                log.seek(max(0, place.stat().st_size - _LOG_END))
                found.append((file.path, log.read().decode("utf-8", "replace")))
    return found


def kept_file(desk: Desk, asked: Asked, run_id: str) -> tuple[str, bytes]:
    """Return the name and the content of a file; only what the store lists for the run is ever opened."""
    path = asked.text("path")
    desk.run(run_id)
    for file in files_of(desk, run_id):
        if file.path == path:
            place = _place(desk, file)
            if place is None:
                raise NotThereError(f"the file is not on this machine{f': {file.note}' if file.note else ''}")
            if place.stat().st_size > _MOST_DOWNLOAD:
                raise RefusedError(f"the file is larger than {_MOST_DOWNLOAD >> 20} MiB: it is {place}")
            return re.sub(r"[^\w.-]+", "_", place.name), place.read_bytes()
    raise NotThereError(f"run '{run_id[:80]}' keeps no file '{path[:80]}'")


def _place(desk: Desk, file: ArtifactFile) -> Path | None:
    """Return where a file lies, if that is a plain file within the outputs folder."""
    if file.location is None or "://" in file.location:
        return None
    try:
        place, root = Path(file.location).resolve(strict=True), desk.outputs.resolve(strict=True)
    except OSError:
        return None
    return place if place.is_relative_to(root) and place.is_file() else None
