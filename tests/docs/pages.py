"""The pages of the documentation."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(file for folder in ("docs", "examples", "experiments") for file in (ROOT / folder).rglob("*.md")),
    ]
)
