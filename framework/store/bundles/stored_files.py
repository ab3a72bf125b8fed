"""Where the files that were kept with a run lie now."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def stored_path(outputs: Path, run_id: str, path: str) -> Path | None:
    """Return where a kept file lies now, in the run's bundle or in a pack; None where it is not on this machine.

    Args:
        path: as table `artifacts` has it, relative to the bundle.
    """
    loose = outputs / "runs" / run_id / path
    packed = outputs.glob(f"packs/*/artifacts/{run_id}/{path.removeprefix('artifacts/')}")
    return next((file for file in (loose, *packed) if file.is_file()), None)


def relative_link(file: Path, folder: Path) -> str:
    """Return a link from a page in `folder` to a file."""
    return quote(os.path.relpath(file.resolve(), folder.resolve()))
