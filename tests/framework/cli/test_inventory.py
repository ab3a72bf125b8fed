from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli.inventory import show_doctor, show_plugins

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def _wide(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")


def test_plugins_are_listed_with_hooks_groups_and_importers(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_plugins() == 0
    text = capsys.readouterr().out
    assert "toy-study 1.0" in text
    assert "config_search_path" in text
    assert "toy_study.plugin" in text
    assert "llama-2-7b" in text
    assert "one speed a line" in text
    assert "toy_schema" not in text


def test_a_plugin_that_failed_to_load_is_shown_and_is_the_exit_status(
    install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken-plugin", "broken = broken_plugin", broken_plugin="raise RuntimeError('no licence')")
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,broken")
    assert show_plugins() == 1
    text = capsys.readouterr().out
    assert all(word in text for word in ("broken-plugin", "FAILED:", "RuntimeError:", "licence"))


def test_the_doctor_lists_what_this_machine_has_and_what_mends_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert show_doctor() == 0
    text = capsys.readouterr().out
    assert "cpu cores" in text
    assert "no toy here" in text
    assert "buy one" in text


def test_a_folder_that_cannot_be_written_comes_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    show_doctor()
    assert "outputs_dir=FOLDER" in capsys.readouterr().out
