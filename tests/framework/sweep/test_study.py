"""Whole sweeps of the toy study: its grids hold speeds 1 and 2 at size 4, and size 8 at speed 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.errors import ConfigError, RunFailedError, StoreError
from framework.report.scope import select_runs
from framework.run_record import RunOutcome
from framework.store.database.reader import Store
from framework.store.sweep_states import sweep_states
from framework.sweep import session as sessions
from framework.sweep.session import SweepSession
from framework.sweep.study import Grids

Study = Callable[..., int]
POINT = ("backend.speed=1", "workload.size=4")


def _session() -> SweepSession:
    session = sessions.current()
    assert session is not None
    return session


def _query(sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in Store("outputs").query(sql).to_pylist()]


def _runs() -> list[tuple[object, ...]]:
    return _query("SELECT sweep_index, repeat, status FROM runs ORDER BY started_at, run_id")


def test_one_command_runs_the_union_of_the_grids_of_its_experiment(study: Study) -> None:
    assert study() == 0
    assert [point.overrides for point in _session().points.values()] == [
        ("backend.speed=1", "workload.size=4"),
        ("backend.speed=2", "workload.size=4"),
        ("workload.size=8", "backend.speed=2"),
    ]
    assert _runs() == [(index, 0, "done") for index in range(3)]


@pytest.mark.slow
def test_the_same_command_again_skips_what_is_done(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    study()
    ran = _session().run_ids
    assert study() == 0
    assert _session().outcomes == {}
    assert _session().run_ids == ran
    assert "0 run, 3 skipped" in capsys.readouterr().out


@pytest.mark.slow
def test_points_that_are_added_run_and_those_that_are_done_are_skipped(study: Study) -> None:
    study("backend.speed=1,2", "workload.size=4")
    study("backend.speed=1,2,8", "workload.size=4")
    assert sorted(_session().skipped) == [(0, 0), (1, 0)]
    assert sorted(_session().outcomes) == [(2, 0)]


@pytest.mark.slow
def test_a_run_of_another_command_stands_for_its_point_in_the_report_and_in_the_state(study: Study) -> None:
    study("backend.speed=1,2", "workload.size=4")
    ran = dict(_query("SELECT sweep_index, run_id FROM runs"))
    study("backend.speed=2", "workload.size=4,5", "backend.fail=null")  # the same run in other words
    assert list(_session().skipped.values()) == [ran[1]]
    sweep = _session().sweep_id
    assert {state.name: dict(state.counts) for state in sweep_states(Path("outputs"))}[sweep] == {"done": 2}
    shown = select_runs(Store("outputs"), Path("outputs"), sweep).scope.run_ids
    assert set(shown) == set(_session().run_ids)
    assert ran[1] in shown


def test_a_given_value_replaces_the_axis_in_every_grid(study: Study) -> None:
    study("backend.speed=3")
    assert [point.overrides for point in _session().points.values()] == [
        ("backend.speed=3", "workload.size=4"),
        ("workload.size=8", "backend.speed=3"),
    ]


def test_a_value_given_by_force_replaces_the_axis_too() -> None:
    grids = Grids([[("a", ("1", "2"))]], [], [("++a", ("3",)), ("++b", ("4",))])
    assert grids.split() == (["++b=4"], [[("a", ("3",))]])


def test_a_fixed_value_applies_to_every_point(study: Study) -> None:
    study("workload.seed=7", "backend.speed=1")
    assert _query("SELECT DISTINCT seed FROM runs") == [(7,)]


def test_a_toy_scale_keeps_two_values_of_each_axis(study: Study) -> None:
    study("scale.axis_points=2", "backend.speed=1,2,4", "workload.size=4")
    assert [point.overrides for point in _session().points.values()] == [
        ("backend.speed=1", "workload.size=4"),
        ("backend.speed=4", "workload.size=4"),
    ]


@pytest.mark.slow
def test_repeats_have_seeds_of_their_own_and_are_added_to_what_is_done(study: Study) -> None:
    study(*POINT)
    study(*POINT, "repeats=3")
    assert list(_session().skipped) == [(0, 0)]
    assert sorted(_query("SELECT sweep_index, repeat, seed FROM runs")) == [(0, 0, 0), (0, 1, 1), (0, 2, 2)]
    assert len(_query("SELECT DISTINCT sweep_id FROM runs")) == 1


def test_points_are_repeated_until_their_mean_is_known(study: Study) -> None:
    study(*POINT, "repeats=2", "repeat_until.metric=sum", "repeat_until.max_repeats=3")
    assert sorted(_session().points) == [(0, 0), (0, 1), (0, 2)]


def test_a_failed_point_is_a_row_and_the_sweep_goes_on(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFailedError, match="1 of 3 runs failed"):
        study("backend.speed=1,-4,2", "workload.size=4")
    assert _runs() == [(0, 0, "done"), (1, 0, "failed"), (2, 0, "done")]
    assert _query("SELECT sweep_index, stage, message FROM failures") == [
        (1, "validate", "configuration key 'backend.speed': must be above 0, got -4")
    ]
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "Error executing job" not in captured.err


@pytest.mark.slow
def test_only_what_failed_is_run_again_when_asked(study: Study) -> None:
    overrides = (*POINT, "backend.fail=null,run,derive")
    with pytest.raises(RunFailedError, match="2 of 3 runs failed"):
        study(*overrides)
    with pytest.raises(RunFailedError, match="2 of 3 runs failed"):
        study(*overrides, "failed_only=true", "resume=false")
    assert _runs() == [(0, 0, "done"), (1, 0, "failed"), (2, 0, "failed"), (1, 0, "failed"), (2, 0, "failed")]
    assert _query("SELECT DISTINCT stage FROM failures ORDER BY stage") == [("backend",), ("derive",)]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("repeats=0",), "'repeats': must be at least 1"),
        (("scale.axis_points=0",), "'scale.axis_points': must be null or at least 1"),
        (("repeat_until.metric=sum", "repeat_until.half_width=2"), "'repeat_until.half_width': 2"),
    ],
)
def test_what_cannot_be_a_sweep_is_one_line(study: Study, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        study(*overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_changed_configuration_is_another_sweep_and_is_told(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study(*POINT)
    first = _session().sweep_id
    study(*POINT, "workload.seed=9")
    assert _session().sweep_id != first
    assert len(_session().outcomes) == 1
    assert "workload.seed: 0 → 9" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_that_was_only_touched_is_recognised_by_its_content(study: Study, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1\n")
    study(*POINT, f"workload.file='{trace}'")
    trace.write_text("1 \n")  # the toy workload does not read it: same content hash
    study(*POINT, f"workload.file='{trace}'")
    assert _session().outcomes == {}
    assert len(_session().skipped) == len(_runs()) == 1


@pytest.mark.slow
def test_an_advisors_settings_are_no_reason_to_measure_again(study: Study) -> None:
    study(*POINT)
    study(*POINT, "advisor.toy.margin=1")
    assert _session().outcomes == {}


def test_advice_is_written_after_the_last_run_and_can_be_pasted_back(study: Study) -> None:
    study(*POINT)
    assert _query("SELECT advisor, overrides, predicted FROM advice") == [("toy", "backend.speed=1.0", 1.0)]


def test_an_advisor_that_breaks_costs_no_run(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study(*POINT, "advisor.toy.fail=true") == 0
    assert len(_runs()) == 1
    assert "advisor toy: ArithmeticError: a defect of the advisor" in "".join(capsys.readouterr())


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_same_command_resumes(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    from framework.run import runner

    real, calls = runner.execute, []

    def interrupted(*given: Any) -> RunOutcome:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(runner, "execute", interrupted)
    assert study() == 130
    assert len(_runs()) == 1
    assert study() == 0
    assert len(_session().skipped) == 1
    assert len(_session().outcomes) == 2


def test_a_store_that_cannot_be_written_ends_the_sweep_at_once(study: Study) -> None:
    Path("outputs").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="outputs"):
        study(*POINT)


def test_the_plan_of_a_sweep_stays_beside_its_runs(study: Study) -> None:
    study(*POINT)
    (file,) = Path("outputs/sweeps").glob("*.json")
    assert json.loads(file.read_text())["sweep_id"] == _session().sweep_id == file.stem


def test_what_is_below_a_swept_group_is_part_of_the_points() -> None:
    given = [("workload", ("a", "b")), ("workload.file", ("w.csv",)), ("backend.speed", ("1",))]
    fixed, (axes,) = Grids([[]], [], given).split()
    assert fixed == ["backend.speed=1"]
    assert axes == [("workload", ("a", "b")), ("workload.file", ("w.csv",))]
