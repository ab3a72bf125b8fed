"""Sweeps in several processes of one machine, against the same sweeps in one."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import joblib
import pytest

from framework.errors import UserError
from framework.store.database.reader import Store
from hydra_plugins.framework_hydra.joblib_launcher import ParallelLauncher

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
SWEEP = ("-m", "+experiment=toy_single", "workload.size=4,8", "backend.speed=1,2")
PARALLEL = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def _rows(outputs: Path, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in Store(outputs).query(sql).to_pylist()]


def test_processes_give_what_one_process_gives(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line(*SWEEP, "outputs_dir=serial").returncode == 0
    parallel = command_line(*SWEEP, *PARALLEL, "outputs_dir=parallel")
    assert parallel.returncode == 0, parallel.stderr
    sql = "SELECT speed, size, numbers_s, duration_s FROM results ORDER BY ALL"
    serial = _rows(tmp_path / "work" / "serial", sql)
    assert len(serial) == 4
    assert _rows(tmp_path / "work" / "parallel", sql) == serial
    assert "0 run, 4 skipped" in command_line(*SWEEP, *PARALLEL, "outputs_dir=parallel").stdout


def test_a_failed_point_is_a_row_and_failed_only_runs_it_again(
    command_line: CommandLine, tmp_path: Path
) -> None:
    sweep = ("-m", "+experiment=toy_single", "backend.fail=null,run", "repeats=2", *PARALLEL)
    assert command_line(*sweep).returncode == 1
    assert command_line(*sweep, "failed_only=true").returncode == 1
    sql = "SELECT sweep_index, repeat, status, count(*) FROM runs GROUP BY ALL ORDER BY ALL"
    outputs = tmp_path / "work" / "outputs"
    assert _rows(outputs, sql) == [
        (0, 0, "done", 1),
        (0, 1, "done", 1),
        (1, 0, "failed", 2),
        (1, 1, "failed", 2),
    ]


def test_what_is_missing_is_found_once_by_each_process_at_most(
    command_line: CommandLine, tmp_path: Path
) -> None:
    done = command_line(
        "-m", "+experiment=toy_single", "backend.speed=range(1,9)", "backend.fail=setup", *PARALLEL
    )
    assert done.returncode == 1
    ((found,),) = _rows(tmp_path / "work" / "outputs", "SELECT count(*) FROM runs")
    assert found in (1, 2)
    assert f"not to be had here: {8 - found} of 8 runs need the same and were not started" in done.stderr


def test_points_are_repeated_until_their_mean_is_known(command_line: CommandLine, tmp_path: Path) -> None:
    rule = ("repeats=2", "repeat_until.metric=numbers_s", "repeat_until.max_repeats=3")
    done = command_line(*SWEEP, *PARALLEL, *rule, "resume=false")
    assert done.returncode == 0, done.stderr
    counted = _rows(tmp_path / "work" / "outputs", "SELECT count(*) FROM runs")
    assert counted == [(8,)]  # the toy is exact: its mean is known after two


def test_no_processes_at_all_is_one_line(command_line: CommandLine) -> None:
    refused = command_line(*SWEEP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=0")
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1] == (
        "error: configuration key 'hydra.launcher.n_jobs': 0 is not a number of processes"
    )
    assert "Traceback" not in refused.stderr


def test_how_far_the_runs_of_other_processes_are_is_on_the_screen(terminal: Callable[..., str]) -> None:
    screen = terminal(*SWEEP, *PARALLEL, "backend.steps=40", "backend.step_s=0.5")
    assert {"speed=1", "speed=2"} <= set(re.findall(r"running .*(speed=\d).*\d+ % ENGINE-STEP-\d+", screen))


class _Torn:
    """What a process can't restore: as a plugin whose file changes while a sweep begins."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return importlib.import_module, ("a_plugin_that_is_gone",)


@pytest.mark.parametrize(
    ("job", "argument", "why"),
    [
        (str, _Torn(), "could not begin: ModuleNotFoundError: No module named 'a_plugin_that_is_gone'"),
        (signal.raise_signal, signal.SIGKILL, "was killed, by the kernel if memory ran out"),
    ],
)
def test_a_process_that_is_lost_is_one_line_with_its_cause(
    job: Callable[[object], object], argument: object, why: str
) -> None:
    launcher = ParallelLauncher(n_jobs=2)
    work = joblib.Parallel(n_jobs=2)
    launcher._hydra.launch = lambda *_: work([joblib.delayed(job)(argument), joblib.delayed(str)(1)])  # type: ignore[method-assign]
    with pytest.raises(UserError, match=why) as caught:
        launcher.launch([], 0)
    assert "the same command carries out the others" in str(caught.value)
    assert "\n" not in str(caught.value)
