"""Tutorials, recipes and the cookbook are carried out as a reader would: every command, query and file, in order."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cli import main
from framework.configuration.search_path import CONFIG_DIR
from tests.conftest import forget_plugins
from tests.docs.pages import PAGES, ROOT, TUTORIALS, Block, blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FIRST = TUTORIALS / "first_advice.md"
RECIPES = ROOT / "docs" / "how_to.md"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that looks like a checkout of this repository and has no runs yet."""
    for name in ("docs", "examples", "tests", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv(CONFIG_DIR, "")
    yield tmp_path
    forget_plugins()


def problems(page: Path, capture: pytest.CaptureFixture[str], slurm: bool = False) -> list[str]:
    """Carry out the blocks of a page in the current folder; return what failed, with the end of what it printed."""
    found: list[str] = []
    for block in blocks(page):
        if block.not_run or (block.needs == "slurm" and not slurm):
            continue
        for step, status in _carried_out(block):
            printed = capture.readouterr()
            if status != 0 or "Traceback" in printed.err:
                end = "\n".join((printed.out + printed.err).splitlines()[-15:])
                found.append(f"{page.name}: {step}: status {status}\n{end}")
    return found


def _carried_out(block: Block) -> Iterator[tuple[str, int]]:
    shown = block.file()
    if shown is not None:
        file = Path(shown[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shown[1])
    elif block.language == "python":
        exec(compile(block.text, "block of a page", "exec"), {"__name__": "page"})
        yield block.text, 0
    elif block.language == "sql":
        yield block.text, _run({}, ["sql", "--", block.text])
    elif block.language == "bash":
        lines = [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
        commands = list(block.commands())
        if len(commands) != len(lines):
            yield f"{block.text}: a line is not a command of ours, and has no reason not to be run", 1
        for environment, words in commands:
            yield " ".join(words), _run(environment, words)


def _run(environment: dict[str, str], words: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_DIR, "")
        if "PYTHONPATH" in environment:
            patch.syspath_prepend(os.path.abspath(environment["PYTHONPATH"]))
        patch.setattr(sys, "argv", ["framework", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def test_tutorials_and_recipes_work_as_they_are_written(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All pages share one store, as a reader of all has; then every query of every page runs in it."""
    pages = [FIRST, RECIPES, *sorted(set(TUTORIALS.glob("*.md")) - {FIRST})]
    found = [problem for page in pages for problem in problems(page, capfd)]
    assert not found, "\n\n".join(found)
    queries = [
        (page.name, query)
        for page in PAGES
        for block in blocks(page)
        if block.language == "sql" and not block.not_run
        for query in block.text.replace("sweep-a", "memory_gap").replace("sweep-b", "repeated").split(";\n")
    ]
    assert len(queries) > 30
    refused = [
        f"{page}: {query}\n{capfd.readouterr().err}"
        for page, query in queries
        if _run({}, ["sql", "--", query]) != 0
    ]
    assert not refused, "\n\n".join(refused)


@pytest.mark.slurm
@pytest.mark.skipif(shutil.which("sbatch") is None, reason="no Slurm here (.ci/slurm.sh up)")
def test_the_tutorial_on_slurm_works_on_slurm(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = problems(TUTORIALS / "run_on_slurm.md", capfd, slurm=True)
    assert not found, "\n\n".join(found)


def test_what_is_not_run_says_why() -> None:
    reasons = {block.not_run for page in PAGES for block in blocks(page) if block.not_run}
    assert reasons
    assert all(re.search(r"needs|tests?\b|environment", reason) for reason in reasons)
