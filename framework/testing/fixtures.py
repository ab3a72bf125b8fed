"""What the fixtures of `pytest_plugin` hand out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from framework.cli.python_interface import Study
    from framework.store.database.frames import OpenStore

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
"""Called with the arguments of `python -m framework`; returns exit status and texts."""

_WIDTH = "200"
_ENTRY_POINT = "[framework.plugins]\ntoy = framework.testing.toy.plugin\n"
_METADATA = "Metadata-Version: 2.1\nName: framework-toy-study\nVersion: 1.0\n"


@dataclass(frozen=True)
class TemporaryStore:
    """A store that ends with its test; `folder` is its outputs folder."""

    folder: Path

    def run(self, *overrides: str, check: bool = True) -> Study:
        """Carry out a study into it, in this process; as `framework.run`."""
        import framework

        return framework.run(*overrides, f"outputs_dir={self.folder}", "progress=false", check=check)

    @property
    def store(self) -> OpenStore:
        """The store as `framework.open` gives it."""
        import framework

        return framework.open(self.folder)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query by column name."""
        rows: list[dict[str, Any]] = self.store.query(sql, parameters).to_pylist()
        return rows


def command_line_in(folder: Path) -> CommandLine:
    """Return what calls the command line in a folder."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": _WIDTH}
        command = [sys.executable, "-m", "framework", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return call


def install_toy(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the toy study's plugin an installed distribution, for this process and those that it starts."""
    install_toy_into(site)
    monkeypatch.syspath_prepend(str(site))
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *([path] if path else [])]))
    if "FRAMEWORK_PLUGINS" in os.environ:
        monkeypatch.setenv("FRAMEWORK_PLUGINS", f"{os.environ['FRAMEWORK_PLUGINS']},toy")
    forget_plugins()


def install_toy_into(site: Path) -> None:
    """Make the toy study's plugin an installed distribution of a folder of the import path."""
    info = site / "framework_toy_study-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINT)


def forget_plugins() -> None:
    """Have plugins be looked for afresh."""
    from framework import plugins
    from framework.store.database import schema

    plugins.discover.cache_clear()
    schema.declared_tables.cache_clear()
