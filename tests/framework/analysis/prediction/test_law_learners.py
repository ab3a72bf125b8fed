"""A law and what was measured: each is used where it errs less on runs that were held out."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("threadpoolctl")

from framework.analysis.prediction.features import Column
from framework.analysis.prediction.law_learners import LAW, candidates
from framework.analysis.prediction.logged_runs import LoggedRuns, described_by, naming_columns, plan_for
from framework.analysis.prediction.novelty import Group
from framework.analysis.prediction.prediction_answer import learners_for
from framework.analysis.prediction.predictor import KNOWN, FittedPredictor, RunPredictor

LAYERS = {"a": 12.0, "b": 24.0, "c": 32.0, "d": 40.0, "e": 48.0}
BATCHES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])


def fitted(
    wrong_by: np.ndarray, noise: float = 0.0, rough: float = 0.0
) -> tuple[FittedPredictor, dict[str, Column], np.ndarray]:
    """Five models over the batch; measured = law × wrong_by(row); a rough law knows more than the settings."""
    names = np.repeat(list(LAYERS), len(BATCHES))
    layers, batch = np.array([LAYERS[name] for name in names]), np.tile(BATCHES, len(LAYERS))
    law = 1e4 * batch**0.6 / layers * np.exp(rough * np.random.default_rng(1).standard_normal(len(batch)))
    target = law * wrong_by * np.exp(noise * np.random.default_rng(0).standard_normal(len(law)))
    columns: dict[str, Column] = {
        "model.name": names.astype(object), "model.layers": layers, "backend.batch": batch, LAW: law
    }  # fmt: skip
    group = Group("model", ("model.layers",), ("model.name",))
    plan = RunPredictor(groups=(group,), candidates=candidates(learners_for(len(law)), with_law=True))
    return plan.fit(columns, target), columns, target


def test_a_law_that_is_right_is_taken_as_it_is() -> None:
    model, _, _ = fitted(np.ones(40), noise=0.05)
    assert model.chosen("model")[0] == "law"


def test_a_law_with_one_wrong_constant_is_scaled_for_a_new_model() -> None:
    model, _columns, _ = fitted(np.full(40, 1.7), noise=0.02)
    name, errors = model.chosen("model")
    assert "law" in name
    assert name != "law"
    assert errors["law"] > 10 * errors[name]
    asked: dict[str, Column] = {
        "model.name": np.array(["f"], dtype=object), "model.layers": np.array([60.0]),
        "backend.batch": np.array([8.0]), LAW: np.array([1e4 * 8**0.6 / 60]),
    }  # fmt: skip
    assert model.predict(asked).basis == ("model",)
    assert model.predict(asked).predicted[0] == pytest.approx(1.7 * asked[LAW][0], rel=0.05)


def test_a_law_that_says_nothing_true_is_not_used() -> None:
    rng = np.random.default_rng(1)
    model, columns, _target = fitted(np.ones(40))
    model.columns = {**model.columns, LAW: columns[LAW] * np.exp(3 * rng.standard_normal(40))}
    assert model.chosen(KNOWN)[0].startswith("learned")


def test_a_correction_that_depends_on_a_setting_is_learned() -> None:
    batch = np.tile(BATCHES, len(LAYERS))
    model, _, _ = fitted(1.0 + 0.5 * (batch > 10), rough=0.5)
    name, errors = model.chosen(KNOWN)
    assert name.startswith("law, corrected")
    assert errors[name] < errors["law"]
    assert errors[name] < errors["law, scaled"]


def runs_of(columns: dict[str, Column]) -> LoggedRuns:
    rows = len(next(iter(columns.values())))
    return LoggedRuns(tuple(map(str, range(rows))), "y", "", np.arange(1.0, rows + 1), columns)


def test_a_unit_is_what_it_is_not_what_it_is_called() -> None:
    columns: dict[str, Column] = {
        "model.name": np.array(["a", "a", "b", "b"], dtype=object),
        "model.hub": np.array(["x/a", "x/a", "x/b", "x/b"], dtype=object),
        "model.layers": np.array([12.0, 12.0, 24.0, 24.0]),
        "backend.batch": np.array([1.0, 2.0, 1.0, 2.0]),
    }
    assert described_by("model.name", columns) == ("model.layers",)
    assert naming_columns("model.name", columns) == ("model.name", "model.hub")
    fitted = plan_for(runs_of(columns), 0.9).fit(columns, np.array([1.0, 2.0, 3.0, 4.0]))
    renamed: dict[str, Column] = {
        "model.name": np.array(["other", "b"], dtype=object),
        "model.hub": np.array([None, "x/b"], dtype=object),
        "model.layers": np.array([12.0, 36.0]),
        "backend.batch": np.array([1.0, 1.0]),
    }
    assert fitted.basis_of_rows(renamed).tolist() == [KNOWN, "model"]


def test_where_nothing_says_what_a_unit_is_its_name_does() -> None:
    columns: dict[str, Column] = {
        "cluster.name": np.array(["a", "b"], dtype=object),
        "backend.batch": np.array([1.0, 2.0]),
    }
    assert described_by("cluster.name", columns) == ("cluster.name",)


@pytest.mark.parametrize("rows", [50, 5000])
def test_each_way_to_predict_is_listed_under_a_name_of_its_own(rows: int) -> None:
    names = [way.name for way in candidates(learners_for(rows), with_law=True)]
    assert len(set(names)) == len(names)
