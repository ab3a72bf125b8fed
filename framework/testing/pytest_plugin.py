"""Fixtures for the tests of plugins. pytest finds them where the framework is installed (entry point `pytest11`).

Every run of pytest in such an environment imports this module: it stays light.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from framework.testing.fixtures import CommandLine, TemporaryStore


@pytest.fixture
def framework_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TemporaryStore:
    """An empty store, in an empty current folder, and what runs studies into it and asks it."""
    from framework.testing.fixtures import TemporaryStore

    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir(exist_ok=True)
    return TemporaryStore(tmp_path / "outputs")


@pytest.fixture
def framework_command(tmp_path: Path) -> CommandLine:
    """Calls `python -m framework ARGUMENTS` in a process of its own, in the folder that holds `framework_store`."""
    from framework.testing.fixtures import command_line_in

    return command_line_in(tmp_path)


@pytest.fixture
def toy_study(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tiny study besides your own, as another plugin would bring it: `backend=toy workload=toy +experiment=toy`.

    Returns the experiment's name.
    """
    from framework.testing.fixtures import forget_plugins, install_toy

    install_toy(tmp_path_factory.mktemp("toy-study"), monkeypatch)
    yield "toy"
    monkeypatch.undo()
    forget_plugins()
