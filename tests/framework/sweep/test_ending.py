from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from framework.run.runner import execute
from framework.run_record import Failure, RunOutcome
from framework.sweep.ending import end_sweep
from framework.sweep.grid import Point
from framework.sweep.session import SweepSession


@pytest.fixture
def ended(
    toy_config: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SweepSession:
    """A sweep of one done point, one failed one and one that was done before."""
    monkeypatch.setenv("COLUMNS", "200")
    session = SweepSession("toy-1", "toy", str(tmp_path / "outputs"))
    session.plan([Point(index, (f"backend.speed={index}",)) for index in range(3)])
    session.add((0, 0), execute(toy_config()))
    session.add(
        (1, 0), RunOutcome("gone", "failed", failure=Failure("launcher", "timeout", "over its time limit"))
    )
    session.skipped[(2, 0)] = "earlier"
    return session


def test_the_end_counts_what_ran_was_skipped_and_failed(
    ended: SweepSession, toy_config: Callable[..., DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    end_sweep(toy_config(progress=True), ended)
    text = capsys.readouterr().out
    assert "1 run, 1 skipped as done, 1 failed" in text
    assert "backend.speed=1" in text
    assert "over its time limit" in text
    assert "report --experiment toy" in text


def test_without_progress_nothing_is_printed(
    ended: SweepSession, toy_config: Callable[..., DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    end_sweep(toy_config(progress=False), ended)
    assert capsys.readouterr().out == ""
