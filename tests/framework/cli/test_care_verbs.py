"""Everyday care of sweeps and runs: looking, cancelling, labelling, deleting, merging."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from framework.cli.study_command import run_study
from framework.cli.verbs import run_verb
from framework.errors import ConfigError, RunFailedError, StoreError
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.sweep_states import sweep_states
from framework.sweep import session as sessions
from framework.sweep.sharing.launchers import launchers_at_work
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow  # each runs several studies

Study = Callable[..., int]
GRID = ("-m", "backend.speed=1,2,3")
SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def study(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """Run the toy study in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> int:
        GlobalHydra.instance().clear()
        return run_study(["+experiment=toy_single", "progress=false", *arguments])

    yield run
    GlobalHydra.instance().clear()
    sessions.forget()


def _rows(sql: str, outputs: str = "outputs") -> list[tuple[object, ...]]:
    return Store(outputs).rows(sql)[1]


def test_a_dry_run_lists_points_with_their_states_and_starts_nothing(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study(*GRID, "--dry-run") == 0
    assert "3 runs: 3 open" in capsys.readouterr().out
    assert not Path("outputs").exists()
    assert study("-m", "backend.speed=1,2") == 0
    files = sorted(Path("outputs").rglob("*"))
    assert study(*GRID, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "3 runs: 1 open, 2 done" in shown
    assert study("-m", "backend.speed=1,2", "--dry-run") == 0
    assert "2 runs: 2 done" in capsys.readouterr().out
    assert study("--dry-run") == 0
    assert "1 run: 1 open" in capsys.readouterr().out
    assert sorted(Path("outputs").rglob("*")) == files


def test_a_sweep_stops_after_as_many_failures_as_allowed_and_is_finished_later(study: Study) -> None:
    grid = ("-m", "backend.speed=1,2,3,4", "backend.fail=run")
    with pytest.raises(
        RunFailedError, match=r"after 2 failures \(max_failures=2\): 2 of 4 runs were not started"
    ):
        study(*grid, "max_failures=2")
    assert len(_rows("SELECT 1 FROM runs")) == 2
    with pytest.raises(RunFailedError, match="after 1 failure "):
        study(*grid, "fail_fast=true")
    Path("healed").touch()
    assert study(*grid) == 0
    assert _rows("SELECT still_open, count(*) FROM failures GROUP BY 1") == [(False, 3)]
    with pytest.raises(ConfigError, match="'max_failures': must be null or at least 1"):
        study(*grid, "max_failures=0")


def test_status_counts_what_is_done_failed_and_open(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="no sweeps in outputs"):
        run_verb(["status"])
    with pytest.raises(RunFailedError):
        study(*GRID, "backend.fail=run", "fail_fast=true")
    (state,) = sweep_states(Path("outputs"))
    assert (state.points, dict(state.counts)) == (3, {"failed": 1, "open": 2})
    shutil.rmtree("outputs/framework.duckdb", ignore_errors=True)
    Path("outputs/framework.duckdb").unlink()
    assert dict(sweep_states(Path("outputs"))[0].counts) == {"failed": 1, "open": 2}
    capsys.readouterr()
    assert run_verb(["status", "toy_single"]) == 0
    shown = capsys.readouterr().out
    assert "backend: engine died" in shown
    with pytest.raises(StoreError, match="no sweep 'toy_singel'"):
        run_verb(["status", "toy_singel"])


def test_watch_ends_with_the_sweep(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunFailedError):
        study("-m", "backend.speed=1,2", "backend.fail=run")
    assert run_verb(["watch"]) == 1
    Path("healed").touch()
    with pytest.raises(RunFailedError):
        study(
            "-m",
            "backend.speed=1,2,3",
            "backend.fail=run",
            "max_failures=1",
            "backend.pace=hasty",
            "workload.fail=crash",
        )
    ended: list[int] = []
    looker = threading.Thread(target=lambda: ended.append(run_verb(["watch", "--interval", "0.05"])))
    looker.start()
    with pytest.raises(RunFailedError):
        study("-m", "backend.speed=1,2,3", "backend.fail=run", "backend.pace=hasty", "workload.fail=crash")
    looker.join(30)
    assert ended == [1]
    assert capsys.readouterr().out


def test_a_run_is_shown_by_the_beginning_of_its_id(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study("backend.log_mib=0.001", "backend.speed=2")
    ((run_id,),) = _rows("SELECT run_id FROM runs")
    capsys.readouterr()
    assert run_verb(["show", str(run_id)[:12]]) == 0
    shown = capsys.readouterr().out
    assert all(
        word in shown for word in (str(run_id), "numbers_s", "toy_single", "log/engine.log", "backend.speed")
    )
    assert run_verb(["log", str(run_id)]) == 0
    assert "engine up" in capsys.readouterr().out
    with pytest.raises(StoreError, match="no run '1999'"):
        run_verb(["show", "1999"])
    study("backend.speed=3")
    with pytest.raises(StoreError, match="several runs begin with '20'"):
        run_verb(["log", "20"])
    ((other,),) = _rows(f"SELECT run_id FROM runs WHERE run_id <> '{run_id}'")
    with pytest.raises(StoreError, match="keeps no log"):
        run_verb(["log", str(other)])


def test_a_local_sweep_is_cancelled_by_a_verb_and_its_log_can_be_followed(
    study: Study, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)])}
    sweep = [
        "+experiment=toy_single",
        "-m",
        "workload.size=1,2,3",
        "backend.steps=300",
        "backend.log_mib=0.001",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "framework", *sweep], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
    ) as process:
        markers = wait_for(
            lambda: list(Path("outputs/running").glob("2*.json")) if process.poll() is None else None
        )
        run_id = markers[0].stem
        wait_for(lambda: run_verb(["log", run_id]) == 0 and "engine up" in capsys.readouterr().out)
        (launcher,) = launchers_at_work("outputs")
        assert launcher.pid == process.pid
        assert dict(sweep_states(Path("outputs"))[0].counts) == {"running": 1, "open": 2}
        assert run_verb(["cancel"]) == 0
        assert process.wait(60) == 143
    assert "the same command resumes" in capsys.readouterr().out
    assert launchers_at_work("outputs") == []
    with pytest.raises(StoreError, match="nothing to cancel: no waiting or running jobs"):
        run_verb(["cancel"])


@pytest.mark.slow
def test_what_is_missing_here_is_found_once_and_not_by_every_point_that_needs_it(study: Study) -> None:
    grid = ("-m", "workload.size=1,2", "backend.speed=1,2,3")
    with pytest.raises(
        RunFailedError, match="not to be had here: 4 of 6 runs need the same and were not started"
    ):
        study(*grid, "backend.fail=setup")
    rows = Store("outputs").rows(
        "SELECT kind, value FROM failures JOIN params USING (run_id) WHERE name = 'workload.size'"
    )
    assert sorted(rows[1]) == [("SetupError", "1"), ("SetupError", "2")]


def test_labels_stay_when_the_database_is_built_again(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study(*GRID)
    first, second, third = (
        str(run_id) for (run_id,) in _rows("SELECT run_id FROM results ORDER BY numbers_s")
    )
    assert run_verb(["tag", "baseline", first, second]) == 0
    assert run_verb(["tag", "baseline", second, "--remove"]) == 0
    assert run_verb(["note", "the fan was broken", third]) == 0
    assert (
        run_verb(
            ["rename", "first_try", "--where", "run_id IN (SELECT run_id FROM results WHERE numbers_s > 1)"]
        )
        == 0
    )
    assert run_verb(["archive", second, "--dry-run"]) == 0
    assert len(_rows("SELECT 1 FROM results")) == 3
    assert run_verb(["archive", second]) == 0
    for _ in range(2):
        assert _rows("SELECT run_id, tag FROM tags") == [(first, "baseline")]
        assert _rows("SELECT run_id FROM results ORDER BY 1") == sorted([(first,), (third,)])
        assert sorted(_rows("SELECT run_id FROM runs WHERE experiment = 'first_try'")) == sorted(
            [(second,), (third,)]
        )
        ingest("outputs", rebuild=True)
    capsys.readouterr()
    run_verb(["show", third])
    assert "the fan was broken" in capsys.readouterr().out
    assert run_verb(["archive", second, "--undo"]) == 0
    assert len(_rows("SELECT 1 FROM results")) == 3
    assert study(*GRID) == 0  # names and tags are no part of a key: nothing runs again
    assert len(_rows("SELECT 1 FROM runs")) == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["tag", "x"], "name runs, sweeps or experiments"),
        (["tag", "x", "nothing"], "no run, sweep or experiment 'nothing'"),
        (["archive", "--where", "backend = 'vllm'"], "no run matches"),
        (["archive", "toy_single", "--undo"], "none of 1 run is archived"),
        (["tag", "x", "toy_single", "--remove"], "none of 1 run has the tag 'x'"),
        (["tag", "x", "--where", " "], "--where: a condition"),
        (["note", "", "toy_single"], "note: an empty text"),
        (["delete", "--where", "no such column"], "SQL: "),
        (["rename", "a/b", "toy_single"], "a name has up to 80"),
        (["tag", "a\nb", "toy_single"], "up to 80 printable characters"),
        (["delete", "toy_single"], "add --yes to delete, or --dry-run"),
    ],
)
def test_what_finds_nothing_or_is_not_agreed_to_is_an_error(
    study: Study, arguments: list[str], error: str
) -> None:
    study()
    with pytest.raises((ConfigError, StoreError), match=error):
        run_verb(arguments)
    assert len(_rows("SELECT 1 FROM runs")) == 1


def test_a_deleted_run_is_open_again_and_can_be_brought_back(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study(*GRID)
    ((run_id,),) = _rows("SELECT run_id FROM results WHERE numbers_s = 2")
    assert run_verb(["delete", str(run_id), "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith(f"{run_id}\n1 run would be deleted\n")
    assert run_verb(["delete", str(run_id), "--yes"]) == 0
    assert len(_rows("SELECT 1 FROM runs")) == 2
    assert _rows("SELECT count(*) FROM metrics WHERE run_id NOT IN (SELECT run_id FROM runs)") == [(0,)]
    assert dict(sweep_states(Path("outputs"))[0].counts) == {"done": 2, "open": 1}
    shutil.move(f"outputs/trash/{run_id}", f"outputs/runs/{run_id}")
    ingest("outputs")
    assert len(_rows("SELECT 1 FROM results")) == 3


def test_lost_and_packed_runs_are_cleared_or_refused(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study()
    ((run_id,),) = _rows("SELECT run_id FROM runs")
    record = json.loads(Path(f"outputs/runs/{run_id}/run.json").read_text())["record"]
    record["run_id"] = "20200101T000000-aaaaaaaa-bbbbbb"
    marker = {"record": record, "host": "elsewhere", "pid": 1, "period_s": 0.001, "ended": True}
    Path("outputs/running").mkdir(exist_ok=True)
    Path(f"outputs/running/{record['run_id']}.json").write_text(json.dumps(marker))
    assert run_verb(["delete", "--where", "status = 'stale'", "--yes"]) == 0
    assert not list(Path("outputs/running").glob("*.json"))
    assert len(_rows("SELECT 1 FROM runs")) == 1
    assert run_verb(["compact"]) == 0
    capsys.readouterr()
    assert run_verb(["delete", str(run_id), "--yes"]) == 1
    assert "it is packed; `archive` hides it" in capsys.readouterr().err


def test_two_stores_become_one_with_each_run_once(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study(*GRID, "outputs_dir=a")
    study("-m", "backend.speed=3,4", "outputs_dir=b")
    assert run_verb(["tag", "theirs", "toy_single", "--outputs", "a"]) == 0
    capsys.readouterr()
    assert run_verb(["merge", "a", "--outputs", "b"]) == 0
    assert capsys.readouterr().out.startswith("3 runs added, 0 bundles there already, ")
    assert run_verb(["merge", "a", "--outputs", "b"]) == 0
    assert capsys.readouterr().out.startswith("0 runs added, 3 bundles there already, 0 other files")
    assert _rows("SELECT count(*), count(DISTINCT run_id) FROM runs", "b") == [(5, 5)]
    assert len(_rows("FROM tags", "b")) == 3
    assert len(sweep_states(Path("b"))) == 2
    with pytest.raises(StoreError, match="are the same folder"):
        run_verb(["merge", "a", "--outputs", "a"])
    with pytest.raises(StoreError, match="no runs in missing"):
        run_verb(["merge", "missing"])
    with pytest.raises(ConfigError, match="merge a --outputs b"):
        run_verb(["ingest", "a", "--outputs", "b"])


def test_the_version_names_what_a_bug_report_needs(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_verb(["version"]) == 0
    shown = capsys.readouterr().out
    assert all(
        word in shown for word in ("framework-lab ", "python 3.", "duckdb ", "plugin toy (toy-study 1.0)")
    )
    assert os.uname().nodename not in shown
