"""`new-plugin` writes a plugin that can be installed and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.configuration.resources import plugin_template
from framework.errors import ConfigError, StoreError


def _files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_template_is_written_under_the_new_name_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_verb(["new-plugin", "belt-line", "--into", str(tmp_path)]) == 0
    folder = tmp_path / "framework-belt-line"
    assert {
        "src/framework_belt_line/plugin.py",
        "src/framework_belt_line/conf/backend/belt_line.yaml",
    } <= _files(folder)
    texts = "".join(file.read_text() for file in folder.rglob("*") if file.is_file())
    assert "newplugin" not in texts
    assert 'name = "framework-belt-line"' in texts
    assert len(_files(folder)) == len(
        [name for name in _files(plugin_template()) if "__pycache__" not in name]
    )
    assert "+experiment=belt_line" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Belt", "lower-case letters"),
        ("2belts", "a letter first"),
        ("a__b", "single underscores"),
        ("serving", "there is a plugin of this name"),
        ("fixed", "workload=fixed is there already"),
    ],
)
def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        run_verb(["new-plugin", name, "--into", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "framework-belt").mkdir()
    with pytest.raises(StoreError, match="already exists and is not replaced"):
        run_verb(["new-plugin", "belt", "--into", str(tmp_path)])


@pytest.mark.slow
def test_what_was_written_can_be_installed_by_pip_and_passes_its_own_tests(tmp_path: Path) -> None:
    run_verb(["new-plugin", "belt", "--into", str(tmp_path)])
    plugin, site = tmp_path / "framework-belt", tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(plugin)]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    environment = {**os.environ, "PYTHONPATH": str(site), "FRAMEWORK_PLUGINS": "belt"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(plugin)]
    tested = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "passed" in tested.stdout
