"""The README is short, shows the report, and says what the command line says."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from framework.cli.verbs import build_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAX_LINES = 120
MAX_PICTURE_BYTES = 300_000


def _verbs(text: str) -> set[str]:
    table = re.search(r"^\| verb .*?\n\n", text, flags=re.MULTILINE | re.DOTALL)
    assert table is not None
    cells = re.findall(r"^\| (`.+?) \|", table.group(0), flags=re.MULTILINE)
    return {re.split(r"[^\w-]", name)[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_readme_is_short_and_repeats_no_line_of_a_table() -> None:
    lines = README.splitlines()
    assert len(lines) <= MAX_LINES
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("|---")]
    assert len(rows) == len(set(rows))


def test_the_picture_of_the_report_is_there_and_small() -> None:
    picture = ROOT / "docs" / "images" / "answer.png"
    assert "](docs/images/answer.png)" in README
    assert 0 < picture.stat().st_size <= MAX_PICTURE_BYTES


def test_the_table_of_verbs_is_that_of_the_command_line() -> None:
    command = typer.main.get_command(build_app())
    assert _verbs(README) == set(getattr(command, "commands", {}))
