"""The verb `report` and the choice of runs behind it."""

from dataclasses import replace
from pathlib import Path

import pytest

from framework.cli.report_verb import run_report
from framework.cli.verbs import run_verb
from framework.errors import StoreError, UserError
from framework.report import answer
from framework.report.plugin_blocks import PluginProblem
from framework.report.scope import folder_name, select_runs
from framework.store.side_files.sweep_plans import SweepPlan, save_plan
from tests.framework.report.conftest import Contribute
from tests.framework.report.sample_study import done_run, failed_run, store_of


def plan(
    outputs: Path, sweep_id: str, experiment: str, planned_at: str, job_keys: list[str], backend: str = "twin"
) -> None:
    base = {"backend.name": backend}
    save_plan(outputs, SweepPlan(sweep_id, experiment, f"{planned_at}+00:00", "v", base, [], job_keys))


def test_the_report_lies_in_the_experiments_folder_and_its_path_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_of(tmp_path, [done_run(1), done_run(2, batch=2)])
    assert run_report([], None, tmp_path) == 0
    file = tmp_path / "reports" / "study" / "report.html"
    assert file.is_file()
    assert capsys.readouterr().out.strip() == f"{file} · 2 runs of study"


def test_a_store_that_can_not_be_read_is_not_a_report_without_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*args: object, **named: object) -> None:
        raise StoreError("the database is damaged")

    store_of(tmp_path, [done_run(1), done_run(2, batch=2)])
    monkeypatch.setattr(answer, "find_answers", unreadable)
    with pytest.raises(StoreError, match="the database is damaged"):
        run_verb(["report", "--outputs", str(tmp_path)])


def test_the_latest_experiment_is_the_default(tmp_path: Path) -> None:
    store = store_of(tmp_path, [done_run(50, experiment="old"), done_run(51, experiment="new")])
    assert select_runs(store, tmp_path, None).scope.experiment == "new"
    # a sweep that found everything done counts as run last
    plan(tmp_path, "old-1", "old", "2027-01-01T00:00:00.000000", ["job50"])
    assert select_runs(store, tmp_path, None).scope.experiment == "old"


def test_a_report_across_experiments_compares_them_and_shows_the_runs_of_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [done_run(i, batch=i + 1, experiment=name) for name, i in (("old", 1), ("old", 2), ("new", 3))]
    same = replace(done_run(4, batch=2, experiment="new"), metrics=runs[0].metrics)
    store_of(tmp_path, [*runs, same])
    assert run_verb(["report", "old", "new", "--outputs", str(tmp_path)]) == 0
    assert "4 runs of old and new" in capsys.readouterr().out
    html = (tmp_path / "reports" / "old_and_new" / "report.html").read_text()
    assert "<h2>Comparison" in html.replace('<h2 id="comparison">', "<h2>") or ">Comparison<" in html
    assert "configuration that differs" in html
    assert "--from old --from new" in html
    with pytest.raises(UserError, match="named once"):
        run_verb(["report", "old", "old", "--outputs", str(tmp_path)])


def test_a_misspelt_experiment_gets_a_suggestion(tmp_path: Path) -> None:
    store_of(tmp_path, [done_run(1, experiment="memory_gap")])
    with pytest.raises(
        UserError, match=r"no runs of experiment 'memory_gab' \(did you mean 'memory_gap'\?\)"
    ):
        run_report(["memory_gab"], None, tmp_path)


def test_without_runs_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs yet"):
        run_report([], None, tmp_path / "nothing")
    store_of(tmp_path, [])
    with pytest.raises(UserError, match="no runs yet"):
        run_report([], None, tmp_path)


def test_a_missing_section_makes_the_exit_status_1_and_a_line_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contribute: Contribute
) -> None:
    contribute(problems=(PluginProblem("plugin 'third' failed in report_sections", "KeyError: 'x'"),))
    store_of(tmp_path, [done_run(1)])
    assert run_report(["study"], tmp_path / "here", tmp_path) == 1
    assert "plugin 'third' failed in report_sections" in capsys.readouterr().err
    assert (tmp_path / "here" / "report.html").is_file()


def test_a_failed_attempt_is_forgotten_once_its_point_is_done(tmp_path: Path) -> None:
    failure = replace(failed_run(1), job_key="same", run_key="other")
    success = replace(done_run(2), job_key="same")
    store = store_of(tmp_path, [failure, success, failed_run(3)])
    assert select_runs(store, tmp_path, "study").scope.run_ids == ["2026-00002", "2026-00003"]


def test_a_rerun_by_newer_code_replaces_the_older_run_but_repeats_stay(tmp_path: Path) -> None:
    runs = [
        replace(done_run(1), code_version="v1"),
        replace(done_run(2), code_version="v2"),
        replace(done_run(3), code_version="v2", repeat=1),
        replace(done_run(4), code_version="v2"),  # a recorded run of the same configuration
    ]
    store = store_of(tmp_path, runs)
    assert select_runs(store, tmp_path, "study").scope.run_ids == ["2026-00002", "2026-00003", "2026-00004"]


def test_the_latest_sweep_of_each_backend_is_shown_with_what_it_found_done(tmp_path: Path) -> None:
    runs = [
        replace(done_run(1), sweep_id="study-toy"),
        replace(done_run(2, batch=2), sweep_id="study-small"),
        replace(done_run(3, batch=3), sweep_id="study-large"),
        replace(done_run(4, batch=4), sweep_id="study-vllm", backend="vllm"),
    ]
    store = store_of(tmp_path, runs)
    plan(tmp_path, "study-toy", "study", "2026-01-01T00:00:01.000000", ["job1"])
    plan(tmp_path, "study-small", "study", "2026-01-01T00:00:02.000000", ["job2"])
    plan(tmp_path, "study-large", "study", "2026-01-01T00:00:03.000000", ["job2", "job3"])
    plan(tmp_path, "study-vllm", "study", "2026-01-01T00:00:00.000000", ["job4"], backend="vllm")
    (tmp_path / "sweeps" / "study-torn.json").write_text('{"sweep_id": ')
    chosen = select_runs(store, tmp_path, "study")
    assert chosen.scope.run_ids == ["2026-00002", "2026-00003", "2026-00004"]
    assert chosen.left_out == 1
    assert select_runs(store, tmp_path, "study-toy").scope.run_ids == ["2026-00001"]


def test_an_experiments_name_becomes_a_folders_name() -> None:
    assert folder_name("import:serving") == "import_serving"
    assert folder_name("../x") == "_x"
    assert folder_name("..") == "_"


def test_runs_whose_metrics_are_defined_differently_get_a_warning_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    runs = [done_run(number, batch=number) for number in (1, 2, 3)]
    marked = [
        replace(run, derivation_hash=code, metrics=[replace(m, derivation=code) for m in run.metrics])
        for run, code in zip(runs, ("first", "first", "second"), strict=True)
    ]
    store_of(tmp_path, marked)
    assert run_report([], tmp_path / "here", tmp_path) == 0
    html = (tmp_path / "here" / "report.html").read_text()
    assert "first in 2 runs, second in 1 run" in html
    assert f"`python -m framework derive --outputs {tmp_path}`" in html
