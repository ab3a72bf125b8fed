"""What Slurm's clients print, read; the programs stand in PATH as scripts that replay recorded output."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.jobs import slurm_queue
from framework.jobs.lost_job import reason_in_log
from framework.jobs.slurm_queue import SlurmQueue, job_state
from framework.processes.job_queue import JobState, QueueError

Client = Callable[..., None]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Put a client program into PATH that prints what it is given and notes its arguments."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def make(name: str, output: str = "", error: str = "", status: int = 0, sleep_s: float = 0) -> None:
        script = tmp_path / name
        (tmp_path / f"{name}.out").write_text(output)
        (tmp_path / f"{name}.err").write_text(error)
        script.write_text(
            f'#!/bin/sh\necho "$@" >> {script}.calls\nsleep {sleep_s}\ncat {script}.out\n'
            f"cat {script}.err >&2\nexit {status}\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    return make


def test_states_of_array_tasks_are_read_one_by_one(client: Client) -> None:
    client(
        "squeue",
        "7_0|RUNNING|n1|debug|None|0\n7_1|PENDING||debug|Resources|0\n7_2|TIMEOUT|n2|debug|TimeLimit|15\n",
    )
    states = SlurmQueue().states(["7_0", "7_1", "7_2"])
    assert states["7_0"] == job_state("7_0", "RUNNING", "n1", "debug")
    assert [state.active for state in states.values()] == [True, True, False]
    assert states["7_1"].reason == "Resources"


def test_accounting_is_asked_for_what_the_queue_has_forgotten(client: Client, tmp_path: Path) -> None:
    client("squeue", error="slurm_load_jobs error: Invalid job id specified\n", status=1)
    client("sacct", "9_0|CANCELLED by 1000|None assigned|gpu|None|0:0\n9_1|OUT_OF_ME+|n3|gpu|None|0:125\n")
    states = SlurmQueue().states(["9_0", "9_1"])
    assert (states["9_0"].state, states["9_0"].node, states["9_0"].failure_kind) == (
        "CANCELLED",
        "",
        "cancelled",
    )
    assert not states["9_1"].active
    assert "--jobs=9" in (tmp_path / "sacct.calls").read_text()


def test_a_job_that_nobody_remembers_is_lost(client: Client) -> None:
    client("squeue")
    client("sacct", error="Slurm accounting storage is disabled\n", status=1)
    assert SlurmQueue().states(["3"])["3"] == JobState("3", "UNKNOWN")
    assert SlurmQueue().states(["3"])["3"].failure_kind == "lost"


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TIMEOUT", "timeout"),
        ("DEADLINE", "timeout"),
        ("CANCELLED", "cancelled"),
        ("NODE_FAIL", "node_failure"),
        ("OUT_OF_MEMORY", "out_of_memory"),
        ("FAILED", "job_failed"),
        ("COMPLETED", "no_result"),
    ],
)
def test_the_end_of_a_job_has_a_name(state: str, kind: str) -> None:
    assert job_state("1", state).failure_kind == kind


def test_a_controller_that_is_down_is_no_end_of_a_job(client: Client) -> None:
    client("squeue", error="slurm_load_jobs error: Unable to contact slurm controller\n", status=1)
    with pytest.raises(QueueError, match="Unable to contact slurm controller"):
        SlurmQueue().states(["1"])


def test_a_client_that_hangs_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "TIMEOUT_S", 0.2)
    client("squeue", sleep_s=5)
    with pytest.raises(QueueError, match="squeue: no answer"):
        SlurmQueue().states(["1"])


def test_a_machine_without_slurm_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(QueueError, match="'squeue' not found"):
        SlurmQueue().states(["1"])
    assert SlurmQueue().largest_array() == 1000


def test_the_clusters_own_limit_bounds_an_array(client: Client) -> None:
    client("scontrol", "MaxArraySize            = 1001\nMaxJobCount = 10000\n")
    assert SlurmQueue().largest_array() == 1000


def test_a_refused_cancellation_is_told(client: Client) -> None:
    client("scancel", error="scancel: error: Kill job error on job id 5: Access denied\n", status=1)
    with pytest.raises(QueueError, match="Access denied"):
        SlurmQueue().cancel(["5"])


@pytest.mark.parametrize(
    ("listed", "tasks"),
    [
        ("36_[2-9%2]", ["2", "3", "4", "5", "6", "7", "8", "9"]),
        ("36_[3,5-7]", ["3", "5", "6", "7"]),
        ("36_[0-8:4]", ["0", "4", "8"]),
        ("36_[1]", ["1"]),
    ],
)
def test_tasks_that_never_started_are_listed_in_one_line(
    client: Client, listed: str, tasks: list[str]
) -> None:
    client("squeue", error="slurm_load_jobs error: Invalid job id specified\n", status=1)
    client(
        "sacct", f"{listed}|CANCELLED by 0|None assigned|debug|None|0:0\n36_10|COMPLETED|n1|debug|None|0:0\n"
    )
    states = SlurmQueue().states([f"36_{task}" for task in [*tasks, "10", "11"]])
    assert {states[f"36_{task}"].failure_kind for task in tasks} == {"cancelled"}
    assert states["36_10"].state == "COMPLETED"
    assert states["36_11"].state == "UNKNOWN"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("9", "killed", "SIGKILL"),  # squeue: what `wait` gives
        ("0:9", "killed", "SIGKILL"),  # sacct
        (str(137 << 8), "killed", "SIGKILL"),  # a shell around the job
        ("6", "job_failed", "SIGABRT"),
        ("768", "job_failed", "exit status 3"),
        ("3:0", "job_failed", "exit status 3"),
        ("", "job_failed", "JobLaunchFailure"),
    ],
)
def test_a_failed_job_says_how_its_process_ended(client: Client, code: str, kind: str, reason: str) -> None:
    client("squeue", f"7_0|FAILED|n1|debug|JobLaunchFailure|{code}\n")
    state = SlurmQueue().states(["7_0"])["7_0"]
    assert (state.failure_kind, state.reason, state.active) == (kind, reason, False)


@pytest.mark.parametrize(
    ("tail", "kind", "better", "words"),
    [
        (
            "slurmstepd: error: Exceeded job memory limit",
            "job_failed",
            "out_of_memory",
            "hydra.launcher.mem_gb=N",
        ),
        ("error: Detected 1 oom-kill event(s)", "lost", "out_of_memory", "hydra.launcher.mem_gb=N"),
        (
            "error: *** JOB 3 ON n1 CANCELLED AT 2026-11-28 DUE TO TIME LIMIT ***",
            "job_failed",
            "timeout",
            "timeout_min",
        ),
        ("error: *** JOB 3 ON n1 CANCELLED AT 2026-11-28 ***", "lost", "cancelled", "CANCELLED AT"),
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "job_failed",
            "out_of_memory",
            "mem_gb",
        ),
        ("slurmstepd: error: Exceeded job memory limit", "killed", "out_of_memory", "memory limit"),
        ("all is well", "job_failed", "job_failed", ""),
        ("out of memory, said the poet", "node_failure", "node_failure", ""),
    ],
)
def test_the_log_of_a_lost_job_knows_its_reason_better(tail: str, kind: str, better: str, words: str) -> None:
    found, said = reason_in_log(tail, kind)
    assert found == better
    assert words in said
    assert "\n" not in said
