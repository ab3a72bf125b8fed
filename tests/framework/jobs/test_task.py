"""What a task of a batch does on a node: it restores Hydra's job, goes on where it stopped, and knows its limits."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from framework.errors import TimeLimitError
from framework.jobs import task as tasks
from framework.jobs.batch_folder import BatchFolder, TaskLimits, TaskPoint
from framework.jobs.task import carry_out
from framework.processes.lifeline import descendants
from framework.processes.process_mark import process_mark
from framework.run_record import Failure, RunOutcome
from tests.support.waiting import wait_for

POINTS = [TaskPoint(["a=1"], 0, 0), TaskPoint(["a=2"], 1, 0)]


class Job:
    """Stands in for Hydra's job: does what a point's first override says, and notes it in a file."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def composed(self, overrides: list[str]) -> None: ...

    def __call__(self, overrides: list[str], number: int, job_id: str) -> Any:
        with self.notes.open("a") as file:
            file.write(f"{overrides[0]} ")
        if overrides[0] == "notice":
            os.kill(os.getpid(), signal.SIGUSR2)
        if overrides[0] == "both":
            ends = {signal.SIGUSR2, signal.SIGALRM}
            signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            for number in ends:
                signal.raise_signal(
                    number
                )  # to this thread, which holds it back: another would take it at once
            with self.notes.open("a") as file:
                try:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
                except TimeLimitError as error:
                    file.write(f"{error}, and how it ended is written in peace")
        if overrides[0] == "hang":
            time.sleep(30)
        if overrides[0] == "deaf":
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(30)
        if overrides[0] == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if overrides[0] == "leave":
            os._exit(3)
        if overrides[0] == "raise":
            raise ValueError("no such model")
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = RunOutcome(
            f"run-{number}", "done", metrics={"x_s": float("nan")}, bands={"x_s": (1.0, 2.0)}
        )
        return done


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(tasks.JOB, "")
    return


def _batch(room: Path, points: list[TaskPoint], limits: TaskLimits | None = None) -> BatchFolder:
    launch = pickle.dumps(Job(room / "notes"))
    return BatchFolder.new(
        room,
        "test",
        [points],
        limits or TaskLimits(60.0, 5.0),
        launch,
        [sys.executable],
        ["export SET_UP=yes"],
    )


def test_the_points_of_a_task_are_carried_out_and_what_they_came_to_is_read_back(tmp_path: Path) -> None:
    batch = _batch(tmp_path, POINTS)
    assert carry_out(batch.folder, 0, "7_0") == 0
    outcome = batch.result(1, 0)
    assert isinstance(outcome, RunOutcome)
    assert (outcome.run_id, outcome.bands) == ("run-1", {"x_s": (1.0, 2.0)})
    assert batch.result(2, 0) is None
    assert batch.process_s(1, 0) is None
    file = batch.folder / "results" / "1.0.json"
    later = json.loads(file.read_text())
    later["outcome"]["of_a_later_version"] = 1
    file.write_text(json.dumps(later))
    assert isinstance(batch.result(1, 0), RunOutcome)


def test_a_point_that_has_its_process_to_itself_says_how_old_that_is(tmp_path: Path) -> None:
    batch = _batch(tmp_path, POINTS[:1])
    carry_out(batch.folder, 0, "7_0")
    age_s = batch.process_s(0, 0)
    assert age_s is not None
    assert age_s > 0
    assert batch.process_s(1, 0) is None


def test_a_task_that_was_given_up_or_is_another_jobs_does_nothing(tmp_path: Path) -> None:
    batch = _batch(tmp_path, POINTS)
    assert batch.give_up(0) is None
    assert carry_out(batch.folder, 0, "7_0") == 0
    assert not (tmp_path / "notes").exists()
    other = _batch(tmp_path, POINTS)
    assert other.begin(0, "7_0")
    assert not other.begin(0, "8_0")
    assert other.give_up(0) == "7_0"


def test_a_job_that_was_requeued_goes_on_where_it_stopped(tmp_path: Path) -> None:
    batch = _batch(tmp_path, POINTS)
    batch.begin(0, "7_0")
    batch.write_result(POINTS[0], RunOutcome("run-0", "done"))
    assert carry_out(batch.folder, 0, "7_0") == 0
    assert (tmp_path / "notes").read_text() == "a=2 "


def test_a_point_that_raises_leaves_the_others_alone(tmp_path: Path) -> None:
    batch = _batch(tmp_path, [TaskPoint(["raise"], 0, 0), POINTS[1]])
    carry_out(batch.folder, 0, "7_0")
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.message) == ("ValueError", "no such model")
    assert isinstance(batch.result(1, 0), RunOutcome)


@pytest.mark.slow
def test_a_run_ends_at_its_own_limit_though_its_job_has_more_time(tmp_path: Path) -> None:
    batch = _batch(tmp_path, [TaskPoint(["hang"], 0, 0), POINTS[1]], TaskLimits(1.5, 0.5))
    carry_out(batch.folder, 0, "7_0")
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
    assert isinstance(batch.result(1, 0), RunOutcome)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "kind", "words"),
    [
        ("crash", "killed", "ended by SIGKILL; by the kernel if memory ran out"),
        ("leave", "job_failed", "ended by status 3"),
        ("deaf", "timeout", "did not end at its time limit"),
    ],
)
def test_what_ends_the_process_of_a_point_leaves_the_others_of_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, kind: str, words: str
) -> None:
    monkeypatch.setattr(tasks, "_DEAF_S", 0.0)
    batch = _batch(tmp_path, [TaskPoint([does], 0, 0), POINTS[1]], TaskLimits(1.5, 0.5))
    assert carry_out(batch.folder, 0, "7_0") == 0
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert words in failure.message
    assert isinstance(batch.result(1, 0), RunOutcome)


@pytest.mark.slow
def test_the_processes_of_a_task_end_with_it_and_its_notice_reaches_the_run(tmp_path: Path) -> None:
    batch = _batch(tmp_path, [TaskPoint(["hang"], 0, 0), POINTS[1]])
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    notes = tmp_path / "notes"

    def started() -> subprocess.Popen[bytes]:
        notes.unlink(missing_ok=True)
        command = [sys.executable, "-m", "framework.jobs.task", str(batch.folder), "0", "7_0"]
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        wait_for(notes.exists)
        return process

    killed = started()
    (copy,) = descendants(killed.pid)
    killed.kill()
    killed.wait()
    wait_for(lambda: process_mark(copy) is None)
    told = started()
    os.kill(told.pid, signal.SIGUSR2)
    assert told.wait() == 0
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"


def test_a_notice_at_the_end_of_the_limit_is_a_time_limit_in_the_run(tmp_path: Path) -> None:
    batch = _batch(tmp_path, [TaskPoint(["notice"], 0, 0)])
    before = signal.getsignal(signal.SIGUSR2)
    carry_out(batch.folder, 0, "7_0")
    assert signal.getsignal(signal.SIGUSR2) is before
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.message) == ("timeout", "the job's time limit is reached")


def test_a_run_that_its_own_limit_and_its_jobs_notice_meet_together_ends_once(tmp_path: Path) -> None:
    batch = _batch(tmp_path, [TaskPoint(["both"], 0, 0)])
    carry_out(batch.folder, 0, "7_0")
    assert (tmp_path / "notes").read_text().endswith("limit is reached, and how it ended is written in peace")
    assert isinstance(batch.result(0, 0), RunOutcome)


@pytest.mark.parametrize("limits", [TaskLimits(36_000.0, 60.0), TaskLimits(60.0, 5.0, max_timeouts=1)])
def test_an_early_notice_and_a_pardoned_limit_put_the_job_back_into_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: TaskLimits
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tasks, "_requeued", lambda limits, job_id: bool(asked.append(job_id)))
    batch = _batch(tmp_path, [TaskPoint(["notice"], 0, 0)], limits)
    carry_out(batch.folder, 0, "7_0")
    assert asked == ["7_0"]
    carry_out(batch.folder, 0, "7_0")
    assert asked == ["7_0"]


def test_what_cannot_be_restored_is_a_failure_of_each_point(tmp_path: Path) -> None:
    batch = _batch(tmp_path, POINTS)
    batch.launch_file.write_bytes(b"half")
    carry_out(batch.folder, 0, "7_0")
    for index in (0, 1):
        failure = batch.result(index, 0)
        assert isinstance(failure, Failure)
        assert failure.stage == "launcher"


@pytest.mark.parametrize("text", ["{", '{"outcome": {}}', "[]"])
def test_a_result_that_can_not_be_read_is_a_failure_that_names_its_file(tmp_path: Path, text: str) -> None:
    batch = _batch(tmp_path, POINTS)
    (batch.folder / "results" / "0.0.json").write_text(text)
    failure = batch.result(0, 0)
    assert isinstance(failure, Failure)
    assert failure.kind == "result_unreadable"
    assert "0.0.json" in failure.message


def test_a_task_has_its_launchers_folder_settings_and_preparations_wherever_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEWORK_CONFIG_DIR", "/home/mine's")
    monkeypatch.chdir(tmp_path)
    names = "('FRAMEWORK_CONFIG_DIR', 'SET_UP')"
    seen = f"import os, json; print(json.dumps([os.getcwd(), *(os.environ.get(n) for n in {names})]))"
    python = [sys.executable, "-c", seen]
    batch = BatchFolder.new(
        tmp_path / "a b", "test", [POINTS], TaskLimits(60, 5), b"", python, ["export SET_UP=yes"]
    )
    done = subprocess.run(
        ["bash", str(batch.script), "0", "7_0"], cwd="/", env={}, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == [str(tmp_path), "/home/mine's", "yes"], done.stderr
