"""What docs/store.md says of the times in tables: which are moments of the run's clock, and which are durations."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "store.md"


def stated_times() -> dict[str, tuple[list[str], list[str]]]:
    """Return moments and durations by table."""
    section = _PAGE.read_text().partition("\n### Times\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    names = [[re.findall(r"`(\w+)`", cell) for cell in row] for row in rows]
    return {table[0]: (moments, durations) for table, moments, durations in names}
