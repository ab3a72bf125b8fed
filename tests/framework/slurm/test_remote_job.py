"""What a job of the cluster does: it restores Hydra's job from a file, and knows its time limit from a preemption."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.configuration.search_path import CONFIG_DIR
from framework.errors import TimeLimitError
from framework.slurm.remote_job import RemoteJob

pytest.importorskip("submitit")


def hydra_job(overrides: list[str], key: str, number: int, job_id: str, singletons: Any) -> Any:
    """Stand in for Hydra's launcher; a job of number 9 gets the signal that Slurm sends before the limit."""
    if number == 9:
        os.kill(os.getpid(), signal.SIGUSR2)
    return overrides, key, number, job_id, singletons


@pytest.fixture
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


def test_a_job_that_was_pickled_does_what_its_launcher_left_on_the_file_system(tmp_path: Path) -> None:
    job = RemoteJob.share(tmp_path / "launch", hydra_job, {"a": 1})
    again = pickle.loads(pickle.dumps(job))
    assert again(("a=1",), 3) == (["a=1"], "hydra.sweep.dir", 3, "job_3", {"a": 1})


def test_a_later_launch_leaves_the_jobs_of_an_earlier_one_their_file(tmp_path: Path) -> None:
    earlier, later = (RemoteJob.share(tmp_path, hydra_job, number) for number in (1, 2))
    assert (earlier((), 0)[-1], later((), 0)[-1]) == (1, 2)


@pytest.mark.usefixtures("_signals")
def test_a_signal_that_submitit_takes_for_the_limit_is_a_time_limit_in_the_run(tmp_path: Path) -> None:
    from submitit.core.utils import UncompletedJobError

    def of_submitit(signum: int, frame: object) -> None:
        raise UncompletedJobError("timed-out too many times")

    signal.signal(signal.SIGUSR2, of_submitit)
    with pytest.raises(TimeLimitError, match="time limit"):
        RemoteJob.share(tmp_path, hydra_job, None)((), 9)
    assert signal.getsignal(signal.SIGUSR2) is of_submitit


@pytest.mark.usefixtures("_signals")
def test_a_preempted_job_is_left_to_submitit_which_submits_the_same_job_again(tmp_path: Path) -> None:
    asked: list[int] = []
    signal.signal(signal.SIGUSR2, lambda signum, frame: asked.append(signum))
    job = RemoteJob.share(tmp_path, hydra_job, None)
    assert job((), 9)[2] == 9
    assert asked == [signal.SIGUSR2]
    again = job.checkpoint(("a=1",), 9)
    assert (again.function, again.args) == (job, (("a=1",), 9))


def test_a_job_searches_the_users_folder_even_without_its_launchers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hydra_job(overrides: list[str], *_: Any) -> tuple[list[str], str | None]:
        return overrides, os.environ.get(CONFIG_DIR)

    monkeypatch.setenv(CONFIG_DIR, "/home/mine")
    job = RemoteJob.share(tmp_path, hydra_job, None)
    monkeypatch.delenv(CONFIG_DIR)
    assert job(["a=1"], 0) == (["a=1"], "/home/mine")
