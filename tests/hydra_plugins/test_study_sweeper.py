"""The sweeper as Hydra runs it: experiment file, command line, composition, launcher and callback together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from framework.cli.study_command import run_study
from framework.errors import ConfigError, StoreError, UserError
from framework.store.database.reader import Store
from framework.sweep import session as sessions

Study = Callable[..., int]


@pytest.fixture
def study(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """Run a study of the toy plugin in this process, in an empty folder; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["framework"])

    def run(*overrides: str) -> int:
        GlobalHydra.instance().clear()
        return run_study(list(overrides))

    yield run
    GlobalHydra.instance().clear()
    sessions.forget()


@pytest.mark.slow
def test_an_experiment_file_holds_its_own_grids(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study("+experiment=toy_grid") == 0
    runs = Store("outputs").query("SELECT speed, size, numbers_s FROM results ORDER BY speed, size")
    assert [tuple(row.values()) for row in runs.to_pylist()] == [(1, 4, 1), (2, 4, 2), (2, 8, 2)]
    assert study("+experiment=toy_grid") == 0
    captured = capsys.readouterr()
    assert "3 run, 0 skipped" in captured.out
    assert "0 run, 3 skipped" in captured.out
    assert not list(Path().glob(".hydra")) + list(Path().glob("multirun"))


def _own_file(folder: Path, sweeper: str) -> list[str]:
    """Write an experiment of one's own; return the arguments that run it."""
    (folder / "mine" / "experiment").mkdir(parents=True)
    head = "# @package _global_\ndefaults: [override /backend: toy, override /workload: toy, override /model: none]\n"
    (folder / "mine" / "experiment" / "own.yaml").write_text(
        f"{head}experiment: own\nhydra:\n  mode: MULTIRUN\n  sweeper: {sweeper}\n"
    )
    return ["--config-dir", str(folder / "mine"), "+experiment=own"]


@pytest.mark.slow
def test_an_axis_may_be_a_yaml_list_a_range_or_a_single_value(study: Study, tmp_path: Path) -> None:
    axes = (
        "{params: {backend.speed: [1, 2.5], workload.size: 'range(4,7,2)', backend.fail: null, resume: true}}"
    )
    assert study(*_own_file(tmp_path, axes)) == 0
    session = sessions.current()
    assert session is not None
    assert [point.overrides[:2] for point in session.points.values()] == [
        ("backend.speed=1", "workload.size=4"),
        ("backend.speed=1", "workload.size=6"),
        ("backend.speed=2.5", "workload.size=4"),
        ("backend.speed=2.5", "workload.size=6"),
    ]


@pytest.mark.parametrize("sweeper", ["{grids: {fast: 3}}", "{grids: {fast: [a, b]}}"])
def test_a_grid_that_is_no_mapping_is_named(study: Study, tmp_path: Path, sweeper: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.grids\.fast"):
        study(*_own_file(tmp_path, sweeper))


@pytest.mark.slow
def test_what_a_sweep_varied_is_kept_without_how_it_was_carried_out(study: Study) -> None:
    study("+experiment=toy_grid", "backend.speed=3", "workload.size=4", "progress=false", "outputs_dir=here")
    names = Store("here").query("SELECT name FROM varied ORDER BY name")["name"].to_pylist()
    assert names == ["backend.speed", "workload.size"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["backend.speed=1,2,fast"], "backend.speed=fast"),
        (["backend=toy,toi"], "unknown backend 'toi' (did you mean 'toy'?)"),
        (["backend.speed=interval(0,1)"], "'backend.speed': a continuous interval can't be swept over"),
        (["workload.sise=1,2"], "workload.sise"),
        (["hydra.sweeper.parms.a=1"], "parms"),
    ],
)
def test_a_typo_anywhere_in_a_sweep_ends_it_before_anything_runs(
    study: Study, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        study("+experiment=toy_grid", *overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_single_run_needs_no_sweep(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study("+experiment=toy_single", "backend.speed=2") == 0
    assert Store("outputs").query("SELECT sweep_id FROM runs")["sweep_id"].to_pylist() == [None]
    assert "numbers_s" in capsys.readouterr().out


def test_a_single_run_that_cannot_start_raises_one_line_and_hydra_adds_none(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="row 3"):
        study("+experiment=toy_single", "workload.fail=input")
    assert capsys.readouterr().err == ""


def test_a_sweep_can_be_asked_for_on_the_command_line(study: Study) -> None:
    assert study("-m", "+experiment=toy_single", "backend.speed=1,2") == 0
    session = sessions.current()
    assert session is not None
    assert [point.overrides for point in session.points.values()] == [
        ("backend.speed=1",),
        ("backend.speed=2",),
    ]


@pytest.mark.slow
def test_a_study_does_not_answer_for_an_earlier_one_of_its_process(study: Study) -> None:
    with pytest.raises(UserError, match="2 of 2 runs failed"):
        study("-m", "+experiment=toy_single", "backend.speed=1,2", "backend.fail=run")
    assert study("+experiment=toy_single", "backend.speed=3") == 0


@pytest.mark.parametrize(
    "error", [StoreError("can't write x: no space left on the device"), KeyError("a defect")]
)
def test_what_fails_after_the_last_run_is_the_last_line_and_the_exit_status(
    study: Study, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("framework.sweep.ending.ingest", refused)
    with pytest.raises(StoreError, match="the runs are kept, but the sweep did not end in order: ") as caught:
        study("-m", "+experiment=toy_single", "backend.speed=1,2")
    assert str(error).strip("'") in str(caught.value)
    assert len(list(Path("outputs/runs").iterdir())) == 2
