from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from framework.errors import TimeLimitError
from framework.processes.end_signals import (
    EndSignal,
    exit_status_of,
    interrupted_by,
    signals_end_in_order,
    stay_after,
)
from framework.run.stages import StageError, stage
from tests.support.waiting import wait_for


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_block_as_ctrl_c_does(number: int, status: int) -> None:
    # whoever started the tests may ignore SIGHUP, as nohup does
    before = signal.signal(number, signal.SIG_DFL)
    with pytest.raises(EndSignal) as ended, signals_end_in_order():
        os.kill(os.getpid(), number)
    assert isinstance(ended.value, KeyboardInterrupt)
    assert exit_status_of(ended.value) == status
    assert interrupted_by(ended.value) == f"ended by {signal.Signals(number).name}"
    assert signal.getsignal(number) is signal.SIG_DFL
    signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_end_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def _raise(error: Exception) -> None:
    raise error


def _covered(interrupted: Callable[[], None]) -> None:
    try:
        interrupted()
    finally:
        raise AttributeError("a clean-up that met what was left half done")


def test_a_signal_that_an_error_of_a_library_has_covered_still_ends_the_block() -> None:
    with pytest.raises(EndSignal) as ended, signals_end_in_order(), stage("run"):
        _covered(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert ended.value.number == signal.SIGTERM


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_was_raised_in_a_finaliser_still_ends_the_block() -> None:
    class Finalised:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(EndSignal), signals_end_in_order(), stage("run"):
        Finalised()


def test_a_time_limit_that_an_error_of_a_library_has_covered_is_what_the_run_failed_of() -> None:
    limit = TimeLimitError("the job's time limit is reached")
    with pytest.raises(StageError) as failed, stage("run"):
        _covered(partial(_raise, limit))
    assert failed.value.__cause__ is limit


def test_only_ctrl_c_can_be_stayed_after() -> None:
    with signals_end_in_order():
        with pytest.raises(EndSignal) as ended:
            os.kill(os.getpid(), signal.SIGINT)
        stay_after(ended.value)
        with pytest.raises(EndSignal):
            stay_after(EndSignal(signal.SIGTERM))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_sweep_that_is_ended_says_so_and_keeps_its_runs(
    toy: Path,
    tmp_path: Path,
    command_line: Callable[..., subprocess.CompletedProcess[str]],
    number: int,
    status: int,
) -> None:
    sweep = ["+experiment=toy_single", "-m", "workload.size=1,2,3,4,5,6", "backend.steps=4"]
    support = Path(__file__).parents[2] / "support"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(support)])}
    with subprocess.Popen(
        [sys.executable, "-m", "framework", *sweep],
        cwd=tmp_path / "work",
        env=environment,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    ) as process:
        wait_for(lambda: any((tmp_path / "work" / "outputs" / "runs").glob("2*")), 60)
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert process.returncode == status
    assert "finished runs are kept; the same command resumes" in said
    again = command_line(*sweep[:-1], "backend.steps=4", "backend.step_s=0")
    assert again.returncode == 0
