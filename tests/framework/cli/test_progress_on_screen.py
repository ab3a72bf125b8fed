"""What a backend reports is on the screen: of a single run, of a sweep, of processes of a launcher, in a log."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Terminal = Callable[..., str]
CommandLine = Callable[..., subprocess.CompletedProcess[str]]
STEPS = ("backend.steps=8", "backend.step_s=0.4")


def steps_in(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"ENGINE-STEP-(\d+)", text)}


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 200])
def test_a_single_run_shows_on_a_terminal_what_its_backend_reports(terminal: Terminal, columns: int) -> None:
    screen = terminal("+experiment=toy_single", *STEPS, columns=columns)
    assert len(steps_in(screen)) >= 4
    assert "numbers_s" in screen
    assert re.search(r"50\s?%.*ENGINE-STEP-4", screen)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 200])
def test_a_sweep_shows_how_far_its_current_run_is(terminal: Terminal, columns: int) -> None:
    screen = terminal("+experiment=toy_grid", "backend.speed=1", *STEPS, columns=columns)
    assert len(steps_in(screen)) >= 4
    assert re.search(r"running .*speed=1.*50 % ENGINE-STEP-4", screen)


@pytest.mark.slow
def test_a_log_has_a_line_of_a_run_that_takes_its_time(command_line: CommandLine) -> None:
    ran = command_line("+experiment=toy_single", "backend.steps=7", "backend.step_s=1")
    lines = ran.stderr.splitlines()
    assert 1 <= len(lines) < 7  # a busy machine takes longer, which may be worth a second line
    assert all(re.fullmatch(r"toy_single \d+ %  ENGINE-STEP-\d", line) for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["toy_single", "toy_grid"])
def test_without_progress_a_run_is_silent(terminal: Terminal, experiment: str) -> None:
    screen = terminal(f"+experiment={experiment}", "backend.speed=1", "progress=false", *STEPS)
    assert screen == ""


@pytest.mark.slow
def test_an_advisors_simulations_and_an_import_show_a_bar(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "work" / "speeds.txt").write_text("1.0\n2.0\n")
    assert "reading speeds.txt" in terminal("import", "toy", "speeds.txt")
    assert "advisor toy" in terminal("+experiment=toy_grid", "advisor.toy.wait_s=0.5")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["toy_single", "toy_grid"])
def test_what_a_backend_prints_goes_to_the_file_that_standard_output_goes_to(
    terminal: Terminal, tmp_path: Path, experiment: str
) -> None:
    file = tmp_path / "stdout.txt"
    screen = terminal(f"+experiment={experiment}", "backend.speed=1", "backend.fail=talk", stdout=file)
    assert "a word of the engine" in file.read_text()
    assert "a word of the engine" not in screen
    assert experiment in screen
