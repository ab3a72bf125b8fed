"""Links from a report to the files that its runs keep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from framework.contracts import ReportScope
from framework.store.bundles.artifact_files import ArtifactFile, artifact_files
from framework.store.bundles.remote import is_url

MAX_FILES = 200


@dataclass(frozen=True)
class LinkedFile:
    """A file of a run, and where the page finds it: a relative link, a URL, or None if it can't be opened."""

    file: ArtifactFile
    link: str | None


def linked_files(scope: ReportScope, outputs: Path, folder: Path) -> list[LinkedFile]:
    """Return the files of the scope's runs, at most `MAX_FILES`, with links from a page in `folder`."""
    files = artifact_files(scope.store, outputs, scope.run_ids, MAX_FILES)
    return [LinkedFile(file, _link(file.location, folder)) for file in files]


def _link(location: str | None, folder: Path) -> str | None:
    if location is None:
        return None
    if is_url(location):
        return location if location.startswith(("http://", "https://")) else None
    return quote(os.path.relpath(location, folder))
