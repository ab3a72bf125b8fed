"""Completion in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from framework.cli.completion import candidates, script
from framework.cli.verbs import build_app
from framework.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("framework sta", ["status"]),
        ("framework +exp", ["+experiment="]),
        ("framework +experiment=toy_g", ["+experiment=toy_grid"]),
        ("framework backend=toy model=llama-2-13", ["model=llama-2-13b"]),
        ("framework status --out", ["--outputs"]),
        ("framework backend=toy sta", []),
        ("framework backend=nothing", []),
    ],
)
def test_the_last_word_is_completed(toy: Path, line: str, found: list[str]) -> None:
    verbs = typer.main.get_command(build_app()).commands
    assert candidates(line, verbs) == found


def test_an_unknown_shell_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown shell 'bsh' \(did you mean 'bash'\?\)"):
        script("bsh")


@pytest.mark.slow
def test_bash_completes_a_group_and_its_options(tmp_path: Path) -> None:
    program = tmp_path / "framework"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m framework "$@"\n')
    program.chmod(0o755)
    code = """
eval "$(framework completion bash)"
for COMP_LINE in "framework doct" "framework backend=twin model=opt-1.3"; do
  COMP_POINT=${#COMP_LINE}; _framework_complete; echo "${COMPREPLY[@]}"
done
"""
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["doctor", "opt-1.3b"], done.stderr
