"""Several runs in a job, a cluster behind ssh, the background of this machine, a queue that a plugin brings."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.errors import ConfigError, RunFailedError
from framework.jobs import start_up_share
from framework.jobs.background_queue import BackgroundQueue
from framework.jobs.known_queues import known_queues, queue_named
from framework.plugins import discover
from framework.processes.job_queue import Batch, QueueError
from framework.store.database.reader import Store
from tests.support.fake_slurm import FakeSlurm, install
from tests.support.launcher_pauses import left_at_the_first_pause, once_planned
from tests.support.waiting import wait_for

POINTS = ("-m", "+experiment=toy_single", "workload.size=4", "backend.speed=1,2,3")
Study = Callable[..., int]


def _runs() -> list[tuple[object, ...]]:
    return Store("outputs").rows("SELECT sweep_index, status FROM runs ORDER BY ALL")[1]


def _all_done(count: int = 3) -> bool:
    return _runs() == [(index, "done") for index in range(count)]


@pytest.mark.slow
def test_a_job_carries_out_several_runs_one_after_another(study: Study, slurm: FakeSlurm) -> None:
    assert study(*POINTS, "hydra/launcher=slurm", "hydra.launcher.runs_per_job=2") == 0
    assert slurm.ended() == {"1_0": "COMPLETED", "1_1": "COMPLETED"}
    assert _all_done()
    jobs = Store("outputs").rows(
        "SELECT sweep_index, value FROM provenance JOIN runs USING (run_id) WHERE name = 'job'"
    )
    assert dict(jobs[1]) == {0: "1_0", 1: "1_0", 2: "1_1"}
    (script,) = Path("outputs/sweeps").glob("*.jobs/*/sbatch.sh")
    assert "#SBATCH --time=120" in script.read_text()


@pytest.mark.slow
def test_a_run_that_fails_or_hangs_leaves_the_others_of_its_job_alone(study: Study, slurm: FakeSlurm) -> None:
    limits = (
        "hydra.launcher.timeout_min=1",
        "hydra.launcher.signal_delay_s=15",
        "hydra.launcher.runs_per_job=3",
    )
    with pytest.raises(RunFailedError, match="1 of 3"):
        study("-m", "+experiment=toy_single", "hydra/launcher=slurm", *limits, "backend.fail=null,run,nan")
    assert _runs() == [(0, "done"), (1, "failed"), (2, "done")]
    assert list(slurm.jobs()) == ["1_0"]


@pytest.mark.slow
def test_a_lost_job_costs_the_runs_that_it_had_not_ended(study: Study, slurm: FakeSlurm) -> None:
    slurm.will_end("OUT_OF_MEMORY", "run")
    with pytest.raises(RunFailedError, match="2 of 3"):
        study(*POINTS, "hydra/launcher=slurm", "hydra.launcher.runs_per_job=2")
    assert _runs() == [(0, "failed"), (1, "failed"), (2, "done")]
    slurm.will_end()
    assert study(*POINTS, "hydra/launcher=slurm", "hydra.launcher.runs_per_job=2") == 0
    assert list(slurm.jobs()) == ["1_0", "1_1", "2_0"]


REFUSE_TEST = 'case "$2" in "test "*) exit 1;; esac'


def _ssh(folder: Path, cluster: Path, shared: bool = True) -> None:
    """Put a stand-in for ssh into a folder of programs: another machine has other programs, environment, folder."""
    program = folder / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1" = login1 ] || { echo "ssh: Could not resolve hostname $1" >&2; exit 255; }\n'
        f"cd /; {'' if shared else REFUSE_TEST}\n"
        f'exec env -i HOME=/ FAKE_SLURM={cluster}/queue PATH={cluster}/bin:/usr/bin:/bin sh -c "$2"\n'
    )
    program.chmod(0o755)


@pytest.fixture
def behind_ssh(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster whose clients are not on this machine."""
    far = tmp_path / "far"
    far.mkdir()
    queue = install(far / "bin", far / "queue")
    near = tmp_path / "near"
    near.mkdir()
    _ssh(near, far)
    monkeypatch.setenv("PATH", f"{near}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.delenv("FAKE_SLURM", raising=False)
    return queue


SSH = ("hydra/launcher=slurm", "hydra.launcher.submit_via=ssh login1")


@pytest.mark.slow
def test_a_cluster_that_is_reached_by_ssh_alone_carries_out_a_sweep(
    study: Study, behind_ssh: FakeSlurm
) -> None:
    assert study(*POINTS, *SSH) == 0
    assert list(behind_ssh.jobs()) == ["1_0", "1_1", "1_2"]
    assert _all_done()


@pytest.mark.slow
def test_jobs_behind_ssh_are_cancelled_there(study: Study, behind_ssh: FakeSlurm) -> None:
    behind_ssh.will_end(*3 * ["PENDING"])

    with left_at_the_first_pause():
        assert study(*POINTS, *SSH) == 130
    assert run_verb(["cancel"]) == 0
    assert set(behind_ssh.jobs().values()) == {"CANCELLED"}


@pytest.mark.slow
def test_a_host_that_is_not_there_and_a_folder_it_does_not_see_are_one_line(
    study: Study, behind_ssh: FakeSlurm, tmp_path: Path
) -> None:
    with pytest.raises(QueueError, match="ssh nowhere test: ssh: Could not resolve hostname nowhere"):
        study(*POINTS, SSH[0], "hydra.launcher.submit_via=ssh nowhere")
    _ssh(tmp_path / "near", tmp_path / "far", shared=False)
    with pytest.raises(QueueError, match="outputs_dir must be on a file system that both"):
        study(*POINTS, *SSH)
    assert behind_ssh.jobs() == {}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "planned"])
def test_runs_in_the_background_outlive_their_launcher_and_the_same_command_attaches(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    sweep = [*POINTS, "hydra/launcher=background", "backend.fail=wait", "hydra.launcher.array_parallelism=2"]

    with left_at_the_first_pause():
        assert study(*sweep) == 130
    wait_for(lambda: len(list(Path("outputs/running").glob("[!.]*.json"))) == 2)

    def end() -> None:
        Path("go").touch()
        wait_for(lambda: len(list(Path("outputs/sweeps").glob("*.jobs/*/results/*.json"))) == 3)

    if when == "before":
        end()
    else:
        once_planned(monkeypatch, end)
    assert study(*sweep) == 0
    assert _all_done()
    said = capsys.readouterr()
    assert "3 jobs continue without this terminal" in said.out + said.err
    assert len(list(Path("outputs/sweeps").glob("*.jobs/*"))) == 1


@pytest.mark.slow
def test_a_run_that_the_kernel_kills_as_it_does_without_memory_is_a_row_that_says_so(study: Study) -> None:
    sweep = [*POINTS[:-1], "backend.speed=1", "hydra/launcher=background", "backend.fail=wait"]

    with left_at_the_first_pause():
        assert study(*sweep) == 130
    (marker,) = wait_for(lambda: list(Path("outputs/running").glob("[!.]*.json")))
    os.kill(json.loads(marker.read_text())["pid"], signal.SIGKILL)
    (room,) = Path("outputs/sweeps").glob("*.jobs")
    (batch,) = room.iterdir()
    job = f"{batch.name}_0"
    wait_for(lambda: not BackgroundQueue(room.resolve()).states([job])[job].active)
    Path("go").touch()
    assert study(*sweep) == 0
    ((kind, message),) = Store("outputs").rows("SELECT kind, message FROM failures")[1]
    assert kind == "killed"
    assert "ended as KILLED without a result" in message
    assert "if memory ran out: hydra.launcher.array_parallelism=N" in message


@pytest.mark.slow
@pytest.mark.parametrize("runs_per_job", [1, 2])
def test_a_run_for_which_memory_runs_out_is_a_row_that_says_so_and_the_others_are_done(
    study: Study, runs_per_job: int
) -> None:
    grid = ("-m", "+experiment=toy_single", "workload.size=4", "backend.speed=1", "backend.fail=memory,null")
    jobs = ("hydra/launcher=background", f"hydra.launcher.runs_per_job={runs_per_job}")
    with pytest.raises(RunFailedError, match="1 of 2 runs failed"):
        study(*grid, *jobs, "hydra.launcher.setup=['ulimit -v 2000000']")
    assert Store("outputs").rows("SELECT stage, kind FROM failures")[1] == [("backend", "out_of_memory")]
    assert _runs() == [(0, "failed"), (1, "done")]


@pytest.mark.slow
def test_the_background_is_cancelled_waiting_and_running(study: Study) -> None:
    sweep = [*POINTS, "hydra/launcher=background", "backend.fail=slow"]

    with left_at_the_first_pause():
        assert study(*sweep) == 130
    (room,) = Path("outputs/sweeps").glob("*.jobs")
    (batch,) = room.iterdir()
    queue = BackgroundQueue(room.resolve())
    ids = queue.find(batch.name, 3) or wait_for(lambda: queue.find(batch.name, 3))
    wait_for(lambda: queue.states(ids)[ids[0]].state == "RUNNING")
    assert run_verb(["cancel"]) == 0
    wait_for(lambda: not any(state.active for state in queue.states(ids).values()))
    assert {state.failure_kind for state in queue.states(ids).values()} == {"cancelled"}


def test_a_batch_is_at_work_from_its_start_to_its_process_end_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "python"  # has not come to leave word of itself
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    queue, folder = BackgroundQueue(tmp_path), tmp_path / "batch"
    folder.mkdir()
    assert not queue.states(["batch_0"])["batch_0"].active
    assert queue.find("batch", 1) == []
    ids = queue.submit(Batch("batch", 1, folder / "task.sh", folder, 60.0, 1))
    pid = json.loads((folder / "queue" / "worker").read_text())["pid"]
    try:
        os.utime(folder / "queue", (0.0, 0.0))
        assert queue.states(ids)[ids[0]].active
        assert queue.find("batch", 1) == ids
    finally:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not queue.states(ids)[ids[0]].active)


def test_a_queue_that_nobody_has_and_a_key_that_it_has_not_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"hydra\.launcher\.queue': unknown queue 'slrum' \(did you mean 'slurm'\?\)"
    ):
        queue_named({"queue": "slrum"}, tmp_path)
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.partition': the background queue has none"):
        queue_named({"queue": "background", "partition": "gpu"}, tmp_path)


@pytest.mark.parametrize("body", ["raise ValueError('boom')", "return ['night']"])
def test_a_plugin_that_fails_to_offer_queues_is_named_and_the_others_stay(
    toy: Path, install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    hook = f"from framework.hookspecs import hookimpl\n@hookimpl\ndef job_queues():\n    {body}\n"
    install("odd-queue", "odd = odd_queue", odd_queue=hook)
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,odd")
    assert set(known_queues()) == {"slurm", "background"}
    (problem,) = discover().problems
    assert "plugin 'odd' failed in job_queues" in str(problem)


QUEUE_PLUGIN = """
from framework.hookspecs import hookimpl
from framework.jobs.background_queue import BackgroundQueue

@hookimpl
def job_queues():
    return {"night": lambda settings, folder: BackgroundQueue(folder), "broken": lambda settings, folder: 1 / 0,
            "nonsense": lambda settings, folder: 7}
"""


@pytest.mark.slow
def test_a_queue_of_a_plugin_carries_out_a_sweep_by_its_name(
    study: Study,
    install: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        start_up_share, "_FEWEST", 2
    )  # the last of them may be seen to be done before it says so
    install("night-queue", "night = night_queue", night_queue=QUEUE_PLUGIN)
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy,night")
    options = tmp_path / "conf" / "hydra" / "launcher"
    options.mkdir(parents=True)
    (options / "night.yaml").write_text(
        "defaults: [queue_schema, _self_]\nqueue: night\narray_parallelism: 1\n"
    )
    assert study("--config-dir", str(tmp_path / "conf"), *POINTS, "hydra/launcher=night") == 0
    assert _all_done()
    (ledger,) = Path("outputs/sweeps").glob("*.jobs.json")
    assert json.loads(ledger.read_text())["queue"] == {"queue": "night"}
    assert "starts once for" in "".join(capsys.readouterr())
    for name, complaint in (("broken", "ZeroDivisionError"), ("nonsense", "is a int, not a JobQueue")):
        with pytest.raises(ConfigError, match=f"plugin 'night': queue '{name}'.*{complaint}"):
            queue_named({"queue": name}, tmp_path)
