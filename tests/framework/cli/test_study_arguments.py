"""Every override of a command line is in the configuration of the runs, or the command refuses it in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.cli.study_arguments import prepared
from framework.cli.study_command import run_study
from framework.errors import ConfigError
from framework.store.database.reader import Store
from framework.sweep import session as sessions

Study = Callable[..., int]


@pytest.fixture
def study(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """Run the toy study in this process, in an empty folder; returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> int:
        GlobalHydra.instance().clear()
        return run_study(["+experiment=toy_single", *arguments])

    yield run
    GlobalHydra.instance().clear()
    sessions.forget()


def _params(outputs: str) -> list[Mapping[str, Any]]:
    """Return the settings of every run of an outputs folder."""
    rows = Store(outputs).query(
        "SELECT run_id, map_from_entries(list((name, value))) AS p FROM params GROUP BY 1"
    )
    return [dict(row["p"]) for row in rows.to_pylist()]


_VALUES = {
    "backend.speed": ["1", "2", "2.5", "4"],
    "workload.size": ["3", "4", "8"],
    "workload.seed": ["0", "1", "7"],
    "backend.pace": ["steady", "hasty"],
    "+backend.profile": ["x", "'a b'", "null"],
    "++workload.size": ["5", "6"],
}
_OVERRIDE = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda key: st.lists(st.sampled_from(_VALUES[key]), min_size=1, max_size=3, unique=True).map(
        lambda values: (key, values)
    )
)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(_OVERRIDE, min_size=1, max_size=5),
    repeats=st.sampled_from([None, 1, 2]),
    multirun=st.booleans(),
)
def test_every_override_is_in_the_runs_or_refused(
    study: Study, tmp_path: Path, lines: list[tuple[str, list[str]]], repeats: int | None, multirun: bool
) -> None:
    outputs = f"o{len(list(tmp_path.iterdir()))}"
    arguments = [f"{key}={','.join(values)}" for key, values in lines]
    arguments += ([] if repeats is None else [f"repeats={repeats}"]) + (["-m"] if multirun else [])
    try:
        assert study(f"outputs_dir={outputs}", "progress=false", *arguments) == 0
    except ConfigError:
        assert not Path(outputs).exists()
        return
    last = {key.lstrip("+"): [value.strip("'") for value in values] for key, values in lines}
    found = _params(outputs)
    for key, values in last.items():
        wanted = {_number(value) for value in values}
        if key == "workload.seed" or values == ["null"]:
            continue
        assert {_number(params.get(key)) for params in found} == set(wanted), key
    points = 1
    for values in last.values():
        points *= len(values)
    assert len(found) == points * (repeats or 1)


def _number(text: str | None) -> object:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None if text == "null" else text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "model=glob(zzz*)"], "override 'model=glob(zzz*)': matches nothing"),
        (["-m", "backend.speed=glob(*)"], "glob is for configuration groups"),
        (["-m", "backend.speed=range(5,1)"], "an axis without values"),
        (["-m", "workload.seed=range(0,3000000)"], "more than 100,000 values"),
        (["-m", "workload.seed=range(0,1000)", "workload.size=range(1,1000)"], "999,000 runs"),
        (
            ["-m", "backend.speed=1,2", "backend={speed:4}"],
            "the study varies 'backend.speed'; write backend.speed=VALUE",
        ),
        (["-m", "repeats=1,2"], "'repeats' holds for the whole sweep"),
        (["-m", "outputs_dir=a,b"], "'outputs_dir' holds for the whole sweep"),
        (["-m", "scale=toy,full"], "'scale' holds for the whole sweep"),
        (["repeats=0"], "'repeats': must be at least 1"),
        (["repeat_until.half_width=0.1"], "no effect without repeat_until.metric"),
        (["failed_only=true"], "for a sweep add -m"),
        (["sweep.index=3"], "the framework itself sets 'sweep'"),
        (["backend=toy_schema"], "unknown backend 'toy_schema'"),
        (["model=4090"], "unknown model '4090'"),
        (["backend.speed="], "override 'backend.speed=': no value"),
        (["backend.speed=8 16"], "override 'backend.speed=8 16': Value '8 16'"),
        (["=1"], "no key in front of '='"),
        (["experiment=toy_grid"], "write +experiment=toy_grid"),
        (["experiment=a/b"], "a name has up to 80 letters"),
        (["model=李明"], """quote its value, for the shell and for Hydra: 'model="李明"'"""),
        (["-m", "backend.speed=range(1,"], "override 'backend.speed=range(1,' can't be read"),
        (["backend.profile=a=b"], """'backend.profile="a=b"'"""),
        (["--mutlirun"], "unknown flag '--mutlirun'"),
        (["--outputs=x"], "unknown flag '--outputs': a study takes outputs_dir=FOLDER"),
    ],
)
def test_what_would_be_ignored_is_refused_in_one_line(
    study: Study, arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        study(*arguments)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_the_last_of_several_values_for_one_key_holds(study: Study) -> None:
    assert study("-m", "backend.speed=8,16", "backend.speed=16") == 0
    assert [params["backend.speed"] for params in _params("outputs")] == ["16.0"]


@pytest.mark.slow
def test_repeats_of_one_configuration_are_runs_of_their_own(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("repeats=3") == 0
    seeds = Store("outputs").query("SELECT seed FROM runs ORDER BY seed")["seed"].to_pylist()
    assert seeds == [0, 1, 2]
    assert "3 run, 0 skipped" in capsys.readouterr().out


@pytest.mark.slow
def test_a_launcher_that_is_asked_for_carries_out_a_single_run_too(study: Study) -> None:
    assert study("hydra/launcher=joblib", "hydra.launcher.n_jobs=2") == 0
    assert (
        Store("outputs")
        .query("SELECT sweep_id FROM runs")["sweep_id"]
        .to_pylist()[0]
        .startswith("toy_single-")
    )


@pytest.mark.slow
def test_two_studies_of_their_own_are_not_values_of_one_sweep(study: Study, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="is a study with settings of its own; run them one after the other"
    ):
        run_study(["-m", "+experiment=toy_grid,toy_single", "backend=toy", "workload=toy"])
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_study_without_a_file_has_the_name_that_it_is_given(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("experiment=mine", "backend.speed=1,2", "-m") == 0
    assert study("experiment=mine", "backend.speed=1,2", "-m") == 0
    assert Store("outputs").query("SELECT DISTINCT experiment FROM runs")["experiment"].to_pylist() == [
        "mine"
    ]
    assert "0 run, 2 skipped" in capsys.readouterr().out
    plan = json.loads(next(Path("outputs/sweeps").glob("mine-*.json")).read_text())
    assert plan["experiment"] == "mine"


@pytest.mark.slow
def test_a_run_that_is_done_shows_its_numbers_again(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study() == 0
    first = capsys.readouterr().out
    assert study() == 0
    again = capsys.readouterr().out
    assert "(done before, skipped)" in again
    assert [line for line in again.splitlines() if "numbers_s" in line] == [
        line for line in first.splitlines() if "numbers_s" in line
    ]


@pytest.mark.slow
def test_flags_may_stand_between_overrides_and_help_lists_no_schemas(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study("backend.speed=2", "--cfg", "job", "workload.size=5") == 0
    shown = capsys.readouterr().out
    assert "size: 5" in shown
    assert study("--help") == 0
    page = capsys.readouterr().out
    assert "backend: " in page
    assert "toy_schema" not in page


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["metrics=[host]", "metrics.host.period_s=1"], "metrics.host.period_s=1"),
        (["workload=fixed,trace", "workload.file=a.csv"], "workload.file=choice(a.csv)"),
        (["metrics=[host],[nvml]", "metrics.host.period_s=1"], "metrics.host.period_s=choice(1)"),
    ],
)
def test_a_list_of_options_is_one_value_and_a_key_below_a_swept_group_is_an_axis(
    words: list[str], value: str
) -> None:
    assert prepared(words)[-1] == value
