"""A sweep as jobs of a cluster, through the study's own door; `tests/support/fake_slurm.py` stands in for Slurm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.errors import RunFailedError, UserError
from framework.store.database.reader import Store
from tests.support.fake_slurm import FakeSlurm
from tests.support.launcher_pauses import left_at_the_first_pause, while_it_watches

SWEEP = ("-m", "+experiment=toy_single", "workload.size=4", "hydra/launcher=slurm", "backend.speed=1,2")
Study = Callable[..., int]


def rows(sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in Store("outputs").query(sql).to_pylist()]


def failures() -> list[tuple[object, ...]]:
    return rows("SELECT sweep_index, stage, kind FROM failures ORDER BY ALL")


@pytest.mark.slow
def test_points_are_carried_out_as_jobs_and_are_results_like_any_other(
    study: Study, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study(*SWEEP) == 0
    assert slurm.ended() == {"1_0": "COMPLETED", "1_1": "COMPLETED"}
    assert rows("SELECT speed, numbers_s FROM results ORDER BY ALL") == [(1, 1), (2, 2)]
    assert study(*SWEEP) == 0
    assert len(slurm.jobs()) == 2
    said = capsys.readouterr()
    assert "2 jobs submitted to slurm as 1; Ctrl-C leaves them running" in said.out + said.err
    assert "0 run, 2 skipped" in said.out


@pytest.mark.slow
def test_a_job_that_ended_without_a_result_is_a_row_with_the_word_of_slurm_and_runs_again(
    study: Study, slurm: FakeSlurm
) -> None:
    slurm.will_end("TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "CANCELLED", "COMPLETED")
    sweep = [*SWEEP[:-1], "backend.speed=1,2,3,4,5"]
    with pytest.raises(RunFailedError, match="5 of 5 runs failed"):
        study(*sweep)
    kinds = ["timeout", "node_failure", "out_of_memory", "cancelled", "no_result"]
    assert failures() == [(place, "launcher", kind) for place, kind in enumerate(kinds)]
    assert rows("SELECT value FROM params WHERE name = 'backend.speed' ORDER BY ALL") == [
        (str(float(speed)),) for speed in range(1, 6)
    ]
    of_slurm = "name LIKE 'slurm.%' AND sweep_index = 1"
    assert dict(rows(f"SELECT name, value FROM provenance JOIN runs USING (run_id) WHERE {of_slurm}")) == {
        "slurm.array_job_id": "1",
        "slurm.array_task_id": "1",
        "slurm.state": "NODE_FAIL",
        "slurm.nodename": "node-1",
        "slurm.job_partition": "debug",
    }
    slurm.will_end()
    assert study(*SWEEP, "failed_only=true") == 0
    assert rows("SELECT speed FROM results ORDER BY ALL") == [(1,), (2,)]
    assert len(failures()) == 5


@pytest.mark.slow
def test_what_a_jobs_own_python_left_says_more_than_slurm(study: Study, slurm: FakeSlurm) -> None:
    slurm.will_end("raise ValueError: no such model", "torn", "raise timeout: signal", "raise X")
    with pytest.raises(RunFailedError):
        study(*SWEEP[:-1], "backend.speed=1,2,3,4")
    assert failures() == [
        (0, "launcher", "ValueError"),
        (1, "launcher", "result_unreadable"),
        (2, "launcher", "timeout"),
        (3, "launcher", "X"),
    ]
    (message,) = rows("SELECT message FROM failures WHERE sweep_index = 0")
    assert message == ("no such model",)


@pytest.mark.slow
@pytest.mark.parametrize(("runs_per_job", "ends"), [(1, ("run", "PENDING", "PENDING")), (3, ("run",))])
def test_jobs_that_need_what_another_found_missing_are_not_started_and_leave_no_rows(
    study: Study, slurm: FakeSlurm, runs_per_job: int, ends: tuple[str, ...]
) -> None:
    slurm.will_end(*ends)
    sweep = [*SWEEP[:-1], "backend.speed=1,2,3", "backend.fail=setup"]
    for attempt in (1, 2):  # the same command tries again
        with pytest.raises(RunFailedError, match="not to be had here: 2 of 3 runs need the same"):
            study(*sweep, f"hydra.launcher.runs_per_job={runs_per_job}")
        assert failures() == [(0, "validate", "SetupError")] * attempt
    slurm.ended()
    assert set(list(slurm.jobs().values())[1:3]) <= {"CANCELLED", "COMPLETED"}


@pytest.mark.slow
def test_a_job_that_a_cluster_has_forgotten_is_lost(study: Study, slurm: FakeSlurm) -> None:
    slurm.will_end("UNHEARD_OF")
    with pytest.raises(RunFailedError, match="1 of 1"):
        study(*SWEEP[:-1], "backend.speed=1")
    assert failures() == [(0, "launcher", "lost")]


@pytest.mark.slow
def test_ctrl_c_leaves_jobs_alone_and_the_same_command_attaches_to_them(
    study: Study, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.will_end("PENDING", "PENDING")
    with left_at_the_first_pause():
        assert study(*SWEEP) == 130
    said = capsys.readouterr()
    assert "2 jobs continue without this terminal" in said.out + said.err
    assert slurm.jobs() == {"1_0": "PENDING", "1_1": "PENDING"}
    while_it_watches(monkeypatch, lambda: slurm.set_all("CANCELLED"))
    with pytest.raises(RunFailedError, match="2 of 2 runs failed"):
        study(*SWEEP)
    said = capsys.readouterr()
    assert "attached to 2 jobs that are waiting or running" in said.out + said.err
    assert len(slurm.jobs()) == 2
    assert failures() == [(0, "launcher", "cancelled"), (1, "launcher", "cancelled")]


@pytest.mark.slow
def test_jobs_that_ended_while_nobody_watched_become_rows_once_and_are_submitted_again(
    study: Study, slurm: FakeSlurm
) -> None:
    slurm.will_end("PENDING", "PENDING")
    with left_at_the_first_pause():
        assert study(*SWEEP) == 130
    slurm.set_all("PREEMPTED")
    slurm.will_end()
    for _ in range(2):
        assert study(*SWEEP) == 0
    assert rows("SELECT status, failure_kind, count(*) FROM runs GROUP BY ALL ORDER BY ALL") == [
        ("done", None, 2),
        ("failed", "preempted", 2),
    ]
    assert list(slurm.jobs()) == ["1_0", "1_1", "2_0", "2_1"]


@pytest.mark.slow
def test_a_sweep_is_cancelled_by_a_verb(
    study: Study, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    slurm.will_end("PENDING", "PENDING")
    with left_at_the_first_pause():
        study(*SWEEP)
    assert run_verb(["cancel"]) == 0
    assert "2 jobs cancelled" in capsys.readouterr().out
    assert set(slurm.jobs().values()) == {"CANCELLED"}
    slurm.forget()  # as a cluster without accounting does with jobs that never began
    slurm.will_end()
    assert study(*SWEEP) == 0
    assert failures() == [(0, "launcher", "cancelled"), (1, "launcher", "cancelled")]


@pytest.mark.slow
def test_more_points_than_an_array_may_have_are_several_arrays(
    study: Study, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.will_end("TIMEOUT", "TIMEOUT")
    monkeypatch.setattr("framework.jobs.slurm_queue.SlurmQueue.largest_array", lambda self: 2)
    with pytest.raises(RunFailedError, match="3 of 3"):
        study(*SWEEP[:-1], "backend.speed=1,2,3", "backend.fail=run")
    assert len({job.split("_")[0] for job in slurm.jobs()}) == 2


@pytest.mark.slow
def test_jobs_that_slurm_refuses_are_one_line(study: Study, slurm: FakeSlurm) -> None:
    slurm.refuse("invalid partition specified: nowhere")
    with pytest.raises(UserError) as refused:
        study(*SWEEP)
    assert str(refused.value) == "sbatch: invalid partition specified: nowhere"
    assert slurm.jobs() == {}


@pytest.mark.slow
def test_the_ledger_names_the_latest_job_of_each_point(study: Study, slurm: FakeSlurm) -> None:
    slurm.will_end("TIMEOUT", "TIMEOUT")
    for _ in range(2):
        with pytest.raises(RunFailedError):
            study(*SWEEP)
    (file,) = Path("outputs/sweeps").glob("*.jobs.json")
    assert {job["index"]: job["job_id"] for job in json.loads(file.read_text())["jobs"]} == {
        0: "2_0",
        1: "2_1",
    }
