from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("threadpoolctl")

from framework.analysis.prediction.logged_runs import param_of
from framework.errors import UserError
from framework.sweep.guided import GuidedStudy, candidates, carry_out, parsed_axes, propose

CommandLine = Callable[..., subprocess.CompletedProcess[str]]

AXES = {
    "workload": ("sort", "grep"),
    "backend.io_sort_mb": ("8", "16", "32", "64"),
    "backend.codec": ("none", "zlib"),
}
STUDY = GuidedStudy("exe_time_s", AXES, base=("backend=hadoop",), budget=14, batch=4)


class Engine:
    """A store that holds what an imagined engine was asked to run."""

    def __init__(self, fails: bool = False) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[tuple[str, ...]] = []
        self.fails = fails

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        names = ("run_id", "value", "name", "text")
        return pa.table({name: [row[name] for row in self.rows] for name in names})

    def run(self, overrides: Sequence[str]) -> None:
        self.asked.append(tuple(overrides))
        settings = dict(text.split("=") for text in overrides)
        if self.fails:
            return
        size = float(settings["backend.io_sort_mb"])
        time_s = (20 if settings["workload"] == "sort" else 5) * (1 + 8 / size)
        run_id = f"run-{len(self.asked)}"
        for key in AXES:
            text = f"{size}" if key == "backend.io_sort_mb" else settings[key]  # stored as a number may be
            self.rows.append({"run_id": run_id, "value": time_s, "name": param_of(key), "text": text})


@pytest.mark.parametrize("method", ["guided", "medoids", "random"])
def test_a_study_spends_its_budget_on_runs_that_all_differ(method: Any) -> None:
    engine = Engine()
    study = GuidedStudy(**{**STUDY.__dict__, "method": method})

    last = carry_out(study, lambda: engine if engine.asked else None, engine.run)

    assert last.known == 14
    assert len(set(engine.asked)) == 14
    assert all(asked[:2] == ("+experiment=guided", "backend=hadoop") for asked in engine.asked)


def test_an_interrupted_study_goes_on_where_it_stopped() -> None:
    engine = Engine()
    carry_out(GuidedStudy(**{**STUDY.__dict__, "budget": 6}), lambda: engine, engine.run)

    proposal = propose(STUDY, engine)

    assert proposal.known == 6
    done = {asked[2:] for asked in engine.asked}
    assert len(proposal.overrides) == 4
    assert not done & set(proposal.overrides)


def test_a_batch_in_which_every_run_fails_ends_the_study_with_one_line() -> None:
    engine = Engine(fails=True)

    with pytest.raises(UserError, match="none of the 4 runs of the batch gave 'exe_time_s'"):
        carry_out(STUDY, lambda: engine, engine.run)


def test_candidates_are_all_combinations_and_too_many_are_refused() -> None:
    assert len(candidates(AXES)) == 16
    with pytest.raises(UserError, match="combinations"):
        candidates({f"k{i}": tuple(map(str, range(10))) for i in range(6)})


@pytest.mark.parametrize("texts", [["codec"], ["codec="], ["codec=a", "codec=b"]])
def test_an_axis_that_is_none_is_named(texts: list[str]) -> None:
    with pytest.raises(UserError, match="codec"):
        parsed_axes(texts)


def test_expected_error_falls_with_every_run_known() -> None:
    engine = Engine()
    study = GuidedStudy(
        "exe_time_s", {**AXES, "backend.reduces": tuple(map(str, range(1, 9)))}, budget=44, batch=4
    )
    shown = []

    def run(overrides: Sequence[str]) -> None:
        engine.run(overrides)
        reduces = dict(text.split("=") for text in overrides)["backend.reduces"]
        last = engine.rows[-1]
        engine.rows.append({**last, "name": "backend.reduces", "text": reduces})

    carry_out(study, lambda: engine, run, shown.append)

    errors = [proposal.expected_error for proposal in shown if proposal.expected_error]
    assert errors
    assert all(after <= before for before, after in errors)


def test_the_seed_decides_random_draws() -> None:
    study = GuidedStudy("exe_time_s", AXES, method="random", batch=5)

    assert propose(study, None) == propose(study, None)
    other = GuidedStudy("exe_time_s", AXES, method="random", batch=5, seed=1)
    assert propose(study, None) != propose(other, None)
    assert np.array(propose(study, None).overrides).shape == (5, 3)


def test_the_verb_prints_commands_that_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from framework.cli.verbs import run_verb

    words = [
        "guide",
        "exe_time_s",
        "workload=sort,grep",
        "backend.codec=none,zlib",
        "--base",
        "backend=hadoop",
    ]
    status = run_verb([*words, "--batch", "2", "--outputs", str(tmp_path / "none")])

    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert len(lines) == 2
    assert all(
        line.startswith("python -m framework +experiment=guided backend=hadoop workload=") for line in lines
    )


def test_runs_of_another_base_under_the_same_name_are_not_known() -> None:
    engine = Engine()
    carry_out(GuidedStudy(**{**STUDY.__dict__, "budget": 4}), lambda: engine, engine.run)
    engine.rows += [{**row, "name": "backend.name", "text": "spark"} for row in engine.rows]

    assert propose(STUDY, engine).known == 0


@pytest.mark.slow
def test_the_verb_runs_a_study_of_any_domain(command_line: CommandLine) -> None:
    words = ["guide", "numbers_s", "backend.speed=1,2,4", "--base", "backend=toy", "--base", "workload=toy"]
    words += ["--base", "model=none", "--base", "gpu=none", "--budget", "2", "--batch", "2", "--run"]
    done = command_line(*words)
    assert (done.returncode, done.stdout) == (0, "")
    query = "SELECT count(DISTINCT speed) FROM results WHERE experiment = 'guided'"
    found = command_line("sql", query, "--format", "csv")
    assert found.stdout.split()[-1] == "2"
