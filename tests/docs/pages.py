"""The pages of the documentation, what their tables name, and the steps that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(file for folder in ("docs", "examples", "experiments") for file in (ROOT / folder).rglob("*.md")),
    ]
)
TUTORIALS = ROOT / "docs" / "tutorials"

_BLOCK = re.compile(
    r"(?:^<!-- (not run|needs): ([^>]*) -->\n)?^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL
)
_COMMAND = re.compile(r"^(?:(\w+=\S*) )?(?:\S*python -m )?framework ([^\n&]*)", flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: behind the fence (`bash`, `sql`, `yaml` …), or empty.
        text: what is in it, lines that a backslash continues joined.
        not_run: why no test runs it; empty if one does.
        needs: the real component that running it takes; empty for none.
    """

    language: str
    text: str
    not_run: str = ""
    needs: str = ""

    def commands(self) -> Iterator[tuple[dict[str, str], list[str]]]:
        """Yield (environment, words behind `framework`) of each command of ours."""
        for setting, command in _COMMAND.findall(self.text):
            name, _, value = setting.partition("=")
            yield ({name: value} if name else {}), shlex.split(command, comments=True)

    def file(self) -> tuple[str, str] | None:
        """Return name and content of the file that the block shows: its first line is the name as a comment."""
        head, _, rest = self.text.partition("\n")
        match = re.fullmatch(r"# (\S+\.(?:yaml|py|csv))", head)
        return None if match is None else (match[1], rest)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    return [
        Block(
            language,
            text.replace("\\\n", " "),
            reason if kind == "not run" else "",
            reason if kind == "needs" else "",
        )
        for kind, reason, language, text in _BLOCK.findall(page.read_text())
    ]


def documented_checks(page: str, heading: str) -> set[str]:
    """Return the checks that the table below a heading of a page describes; compared with those that code returns."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
