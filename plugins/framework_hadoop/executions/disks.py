"""Disk layouts and their codes: how many remote volumes, solid-state and spinning disks a node works on.

HDD, HDn   one, n local spinning disks          SSD, SSn   one, n local solid-state disks
RLn        n remote volumes, temporary files on the local disk
RRn        n remote volumes, temporary files on them as well
HSn        n spinning disks, temporary files on one solid-state disk
RSn        n remote volumes, temporary files on one solid-state disk
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CODE = re.compile(r"(HDD|SSD|HD|SS|RL|RR|HS|RS)(\d{0,2})")


@dataclass(frozen=True)
class DiskLayout:
    """The volumes of a node.

    Attributes:
        remote: remote volumes.
        ssd: local solid-state disks.
        spinning: local spinning disks that are put to use.
        temporary: where temporary files lie: `ssd`, `local` or `remote`.
    """

    remote: int
    ssd: int
    spinning: int
    temporary: str


def disk_layout(code: str | None) -> DiskLayout | None:
    """Return the layout that a code represents; None for a code that is missing or unknown."""
    found = _CODE.fullmatch(code.upper()) if code else None
    if found is None:
        return None
    family, count = found[1], int(found[2] or 1)
    if family in ("HDD", "HD"):
        return DiskLayout(0, 0, count, "local")
    if family in ("SSD", "SS"):
        return DiskLayout(0, count, 0, "ssd")
    if family == "RL":
        return DiskLayout(count, 0, 1, "local")
    if family == "RR":
        return DiskLayout(count, 0, 0, "remote")
    if family == "HS":
        return DiskLayout(0, 1, count, "ssd")
    return DiskLayout(count, 1, 0, "ssd")
