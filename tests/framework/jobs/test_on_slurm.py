"""Sweeps on a real Slurm (`.ci/slurm.sh up`, then `source $SLURM_ROOT/env.sh`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.jobs.slurm_queue import SlurmQueue
from framework.processes.job_queue import QueueError
from framework.store.bundles.heartbeat import read_running
from framework.store.database.reader import Store
from tests.support.waiting import wait_for

SUPPORT = Path(__file__).parents[2] / "support"
LAUNCHER = ("hydra/launcher=slurm", "hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=5")
TOY = ("-m", "+experiment=toy_single", "workload.size=4", *LAUNCHER)
Start = Callable[..., subprocess.Popen[str]]

pytestmark = [pytest.mark.slurm, pytest.mark.integration]


@pytest.fixture(scope="module", autouse=True)
def _slurm_answers() -> None:
    try:
        SlurmQueue().states(["1"])
    except QueueError as error:
        pytest.fail(f"{error}; start one with .ci/slurm.sh up")


@pytest.fixture
def start(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start `python -m framework` in an empty folder, the toy study installed; its jobs are cancelled at the end."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)]), "COLUMNS": "200"}
    started = []

    def begin(*arguments: str, plugins: str = "toy") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "framework", *arguments],
            env={**environment, "FRAMEWORK_PLUGINS": plugins},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
    for ledger in Path("outputs/sweeps").glob("*.jobs.json"):
        ids = [job["job_id"] for job in json.loads(ledger.read_text())["jobs"]]
        subprocess.run(["scancel", "--quiet", *ids], check=False, timeout=30)


def _finish(process: subprocess.Popen[str], timeout_s: float = 240) -> tuple[int, str]:
    output, _ = process.communicate(timeout=timeout_s)
    return process.returncode, output


def _jobs() -> dict[int, str]:
    """Return the latest job id of each point, by its index."""
    (file,) = Path("outputs/sweeps").glob("*.jobs.json")
    return {job["index"]: job["job_id"] for job in json.loads(file.read_text())["jobs"]}


def _running() -> set[int | None]:
    """Return the indices of the points whose runs are under way."""
    return {run.record.sweep_index for run in read_running("outputs")}


def _query(sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in Store("outputs").query(sql).to_pylist()]


def _slurm(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)


def test_every_end_of_a_job_is_a_row_of_its_kind_and_the_next_call_runs_just_those(start: Start) -> None:
    sweep = (
        *TOY,
        "backend.fail=null,run,hang,deaf,deaf_too,deaf_again",
        "+hydra.launcher.additional_parameters.no_requeue=true",
    )
    process = start(*sweep)
    wait_for(lambda: {3, 4, 5} <= _running())
    jobs = _jobs()
    _slurm("scancel", jobs[4])
    node = SlurmQueue().states([jobs[5]])[jobs[5]].node
    _slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    wait_for(lambda: not SlurmQueue().states([jobs[5]])[jobs[5]].active)
    # refused when the node has come back by itself
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False, timeout=30)
    status, output = _finish(process)
    assert status == 1, output
    ended = _query("SELECT sweep_index, stage, kind FROM failures ORDER BY sweep_index")
    lost_with_node = {row for row in ended if row[2] == "node_failure"}
    assert (5, "launcher", "node_failure") in lost_with_node
    expected = [
        (1, "backend", "RuntimeError"),
        (2, "backend", "timeout"),
        (3, "launcher", "timeout"),
        (4, "launcher", "cancelled"),
        (5, "launcher", "node_failure"),
    ]
    # what shared the failed node went down with it
    assert [row for row in ended if row not in lost_with_node] == [
        row for row in expected if row[0] not in {lost[0] for lost in lost_with_node}
    ]
    states = dict(
        _query(
            "SELECT sweep_index, value FROM provenance JOIN runs USING (run_id) WHERE name = 'slurm.state'"
        )
    )
    assert (states[4], states[5]) == ("CANCELLED", "NODE_FAIL")
    done = _query("SELECT sweep_index FROM runs WHERE status = 'done'")

    Path("healed").touch()
    status, output = _finish(start(*sweep))
    assert status == 0, output
    assert f"{6 - len(done)} run, {len(done)} skipped" in output
    assert _query("SELECT count(*) FROM runs WHERE status = 'done'") == [(6,)]
    assert len(_query("SELECT run_id FROM failures")) == len(ended)


def test_ctrl_c_leaves_the_jobs_running_and_the_same_command_attaches_to_them(start: Start) -> None:
    sweep = (*TOY, "backend.fail=wait", "backend.speed=1,2")
    process = start(*sweep)
    wait_for(lambda: _running() == {0, 1})
    jobs = _jobs()
    process.send_signal(signal.SIGINT)
    status, output = _finish(process)
    assert status == 130, output
    assert "jobs continue without this terminal" in output
    assert "python -m framework cancel toy_single-" in output
    again = start(*sweep)
    time.sleep(3)
    assert all(state.active for state in SlurmQueue().states(list(jobs.values())).values())
    Path("go").touch()
    status, output = _finish(again)
    assert status == 0, output
    assert "attached to 2 jobs" in output
    assert _jobs() == jobs
    assert _query("SELECT sweep_index, status FROM runs ORDER BY ALL") == [(0, "done"), (1, "done")]


def test_a_killed_launcher_loses_nothing(start: Start) -> None:
    sweep = (*TOY, "backend.fail=wait", "backend.speed=1,2")
    process = start(*sweep)
    wait_for(lambda: _running() == {0, 1})
    process.send_signal(signal.SIGKILL)
    process.wait()
    Path("go").touch()
    wait_for(lambda: len(list(Path("outputs/runs").glob("[!.]*"))) == 2)
    assert _finish(start("ingest"))[0] == 0
    assert _query("SELECT sweep_index, status FROM runs ORDER BY ALL") == [(0, "done"), (1, "done")]
    status, output = _finish(start(*sweep))
    assert status == 0, output
    assert "0 run, 2 skipped" in output


def test_a_sweep_is_cancelled_by_a_verb_while_it_is_watched(start: Start) -> None:
    sweep = (*TOY, "backend.fail=wait", "backend.speed=1,2")
    process = start(*sweep)
    wait_for(lambda: _running() == {0, 1})
    status, output = _finish(start("cancel"))
    assert status == 0, output
    assert "2 jobs cancelled" in output
    status, output = _finish(process)
    assert status == 1, output
    assert _query("SELECT sweep_index, kind FROM failures ORDER BY ALL") == [
        (0, "cancelled"),
        (1, "cancelled"),
    ]


def test_jobs_that_ended_while_nobody_watched_become_rows_once(start: Start) -> None:
    sweep = (*TOY, "backend.fail=wait")
    process = start(*sweep)
    wait_for(lambda: _running() == {0})
    process.send_signal(signal.SIGKILL)
    process.wait()
    (job,) = _jobs().values()
    _slurm("scancel", job)
    wait_for(lambda: not SlurmQueue().states([job])[job].active)
    Path("go").touch()
    for _ in range(2):
        status, output = _finish(start(*sweep))
        assert status == 0, output
    assert _query("SELECT status, failure_kind FROM runs ORDER BY ALL") == [
        ("done", None),
        ("failed", "cancelled"),
    ]


def test_repeats_and_failed_only_work_as_on_one_machine(start: Start) -> None:
    sweep = (*TOY, "backend.fail=null,run", "repeats=2")
    assert _finish(start(*sweep))[0] == 1
    status, output = _finish(start(*sweep, "failed_only=true"))
    assert status == 1, output
    assert _query("SELECT sweep_index, repeat, status, count(*) FROM runs GROUP BY ALL ORDER BY ALL") == [
        (0, 0, "done", 1),
        (0, 1, "done", 1),
        (1, 0, "failed", 2),
        (1, 1, "failed", 2),
    ]


@pytest.mark.slow
def test_a_study_gives_the_same_results_as_on_this_machine(start: Start) -> None:
    study = ("+experiment=memory_gap", "scale=toy", "model=opt-1.3b")
    for arguments in (("outputs_dir=here",), ("outputs_dir=there", "hydra/launcher=slurm")):
        status, output = _finish(start(*study, *arguments, plugins="serving,twin"), timeout_s=500)
        assert status == 0, output
    here, there = (_results(outputs) for outputs in ("here", "there"))
    assert len(here) > 10
    assert here == there


def _results(outputs: str) -> list[dict[str, object]]:
    """All of `results` but what names the run itself."""
    store = Store(outputs)
    columns = store.query("SELECT * FROM results LIMIT 0").column_names
    own = [name for name in columns if name in ("run_id", "started_at", "finished_at", "host")]
    rows: list[dict[str, object]] = store.query(
        f"SELECT * EXCLUDE ({', '.join(own)}) FROM results ORDER BY ALL"
    ).to_pylist()
    return rows
