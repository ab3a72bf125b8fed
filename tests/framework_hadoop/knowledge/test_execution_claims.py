"""Claims of the ALOJA papers, answered from stored runs of the study."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightgbm")

from framework.analysis.claims.claim_file import claims_file, load_claims
from framework.analysis.claims.reproduction_card import claim_computations, evaluate
from framework.cli.verbs import run_verb
from framework.configuration.composition import compose
from framework.contracts import ReportScope
from framework.run.runner import execute
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from tests.framework_hadoop.aloja_files import executions, write


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with two of the learners, on synthetic executions."""
    folder = tmp_path_factory.mktemp("study")
    files = [
        f"data.{role}={write(folder / f'{role}.csv', executions(rows, seed=seed))}"
        for role, rows, seed in (("train", 400, 0), ("test", 60, 1))
    ]
    for learner in ("auto", "tree"):
        words = ["+experiment=aloja_prediction", *files, f"backend.learner={learner}", "progress=false"]
        config = compose([*words, f"outputs_dir={folder / 'outputs'}", "backend.validation=none"])
        assert execute(config).status == "done"
    ingest(folder / "outputs")
    return folder / "outputs"


def statuses(outputs: Path, run_ids: list[str]) -> dict[str, tuple[str, str]]:
    file = claims_file("aloja_prediction")
    assert file is not None
    computations = claim_computations(ReportScope(Store(outputs), "aloja_prediction", run_ids, file))
    found = evaluate(load_claims(file, computations), computations)
    return {result.claim.id: (result.status, result.reason) for result in found}


def run_ids(outputs: Path) -> list[str]:
    return [run_id for (run_id,) in Store(outputs).rows("SELECT run_id FROM runs ORDER BY started_at")[1]]


def test_claims_are_answered_by_the_runs_with_the_learner_they_name(outputs: Path) -> None:
    found = statuses(outputs, run_ids(outputs))
    assert found["error-net"] == ("not evaluated", "no run with backend.learner=net that reports mape")
    for claim in ("error-tree", "error-halved"):
        assert found[claim][0] in ("reproduced", "not reproduced")
    assert "not published" in found["outliers"][1]


def test_runs_out_of_scope_answer_nothing(outputs: Path) -> None:
    only_auto = [run_ids(outputs)[0]]
    found = statuses(outputs, only_auto)
    assert found["error-tree"] == ("not evaluated", "no run with backend.learner=tree that reports mape")


def test_computations_say_what_the_tables_hold(outputs: Path) -> None:
    store = Store(outputs)
    compute = claim_computations(ReportScope(store, "aloja_prediction", run_ids(outputs)))
    errors = "SELECT 100 * m.value FROM metrics m JOIN params p USING (run_id) WHERE p.value = 'tree' AND m.name = ?"
    assert compute["prediction_error"](learner="tree").value == store.rows(errors, ["mape"])[1][0][0]
    effects = "SELECT setting, from_value, to_value, time_ratio FROM knob_effects"
    setting, base, value, ratio = store.rows(effects)[1][0]
    there = compute["setting_speedup"](setting=setting, value=value, base=base)
    back = compute["setting_speedup"](setting=setting, value=base, base=value)
    assert there.value == pytest.approx(1 / ratio)
    assert back.value == pytest.approx(ratio)
    assert there.low <= there.value <= there.high


def test_the_report_of_the_study_shows_the_card(outputs: Path, tmp_path: Path) -> None:
    words = ["report", "--experiment", "aloja_prediction", "--out", str(tmp_path), "--outputs", str(outputs)]
    assert run_verb(words) == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("Regression tree (M5P), error on test rows") == 1
