"""Where the files lie that runs keep: loose, in a pack, or behind a URL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framework.contracts import StoreReader
from framework.errors import StoreError
from framework.store.bundles.sources import BundleSource, bundle_sources

_FILES = """
SELECT a.run_id, a.name, a.path, a.bytes, a.note
FROM artifacts AS a JOIN runs AS r USING (run_id)
WHERE {condition}
ORDER BY r.started_at DESC, a.run_id, a.path
LIMIT {limit:d}
"""


@dataclass(frozen=True)
class ArtifactFile:
    """A file of a run.

    Attributes:
        run_id, name: of which run, and what it is (`log`, `job_history` …).
        path: within the run's bundle.
        bytes: its size; None when it was left out.
        note: why it was left out or shortened; empty if it is there as it was.
        location: where it is: a path, or a URL; None when it was left out or its bundle is not there now.
    """

    run_id: str
    name: str
    path: str
    bytes: int | None
    note: str
    location: str | None


def artifact_files(
    store: StoreReader, outputs: Path, run_ids: Sequence[str] | None, limit: int
) -> list[ArtifactFile]:
    """Return the files of the runs (of all if None), those of the latest runs first, at most `limit`."""
    condition = "TRUE" if run_ids is None else "a.run_id IN (SELECT unnest(?::VARCHAR[]))"
    given = [] if run_ids is None else [list(run_ids)]
    rows = store.query(_FILES.format(condition=condition, limit=limit), given).to_pylist()
    source_of: dict[str, BundleSource] = {}
    if rows:
        wanted = {row["run_id"] for row in rows}
        for source in bundle_sources(outputs):
            if wanted - source_of.keys():  # a remote is asked only for what is nowhere nearer
                with suppress(StoreError):  # and may be out of reach
                    source_of = {**{name: source for name in source.names() if name in wanted}, **source_of}
    return [
        ArtifactFile(
            row["run_id"],
            row["name"] or "",
            row["path"],
            row["bytes"],
            row["note"] or "",
            None
            if row["bytes"] is None or row["run_id"] not in source_of
            else source_of[row["run_id"]].place(row["run_id"], row["path"]),
        )
        for row in rows
    ]
