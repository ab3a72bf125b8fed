from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.processes.end_signals import EndSignal, exit_status_of, interrupted_by, signals_end_in_order
from tests.support.waiting import wait_for


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_block_as_ctrl_c_does(number: int, status: int) -> None:
    # whoever started the tests may ignore SIGHUP, as nohup does
    before = signal.signal(number, signal.SIG_DFL)
    with pytest.raises(EndSignal) as ended, signals_end_in_order():
        os.kill(os.getpid(), number)
    assert isinstance(ended.value, KeyboardInterrupt)
    assert exit_status_of(ended.value) == exit_status_of() == status
    assert interrupted_by() == f"ended by {signal.Signals(number).name}"
    assert signal.getsignal(number) is signal.SIG_DFL
    signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_end_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


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
