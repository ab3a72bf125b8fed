"""The pages of the documentation, and what their tables name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(file for folder in ("docs", "examples", "experiments") for file in (ROOT / folder).rglob("*.md")),
    ]
)


def documented_checks(page: str, heading: str) -> set[str]:
    """Return the checks that the table below a heading of a page describes; compared with those that code returns."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
