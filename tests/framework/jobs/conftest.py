"""A sweep on a stand-in for Slurm, whose jobs are processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from framework.cli.study_command import run_study
from framework.jobs import submission
from framework.sweep import session as sessions
from tests.support.fake_slurm import FakeSlurm, install

SUPPORT = Path(__file__).parents[2] / "support"
Study = Callable[..., int]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster that answers at once, and is asked without pauses."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "queue"))
    monkeypatch.setattr(submission, "POLL_S", 0.05)
    monkeypatch.setattr(submission, "LAG_S", 0.0)
    return install(tmp_path / "bin", tmp_path / "queue")


@pytest.fixture
def study(toy: Path, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """Run a study of the toy plugin in an empty folder; its jobs are processes of their own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(toy), str(SUPPORT)]))
    monkeypatch.setattr("sys.argv", ["framework"])

    def run(*overrides: str) -> int:
        GlobalHydra.instance().clear()
        return run_study(list(overrides))

    yield run
    GlobalHydra.instance().clear()
    sessions.forget()
