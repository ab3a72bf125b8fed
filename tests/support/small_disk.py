"""A disk that is full."""

from __future__ import annotations

import os
from pathlib import Path


def fill(disk: Path, leave_bytes: int) -> None:
    """Leave so much free space on a disk, and no more."""
    free = os.statvfs(disk)
    with open(disk / "ballast", "wb") as ballast:
        ballast.write(bytes(max(0, free.f_bavail * free.f_frsize - leave_bytes)))
