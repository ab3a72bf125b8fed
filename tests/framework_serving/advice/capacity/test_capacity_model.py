"""Learning on an engine whose capacity is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framework.errors import InputError, UserError
from framework_serving.advice.capacity.capacity_data import CapacityData
from framework_serving.advice.capacity.capacity_features import FEATURES, MONOTONE, CapacityRows, rows_of
from framework_serving.advice.capacity.capacity_learning import fit, learning_rows
from framework_serving.advice.capacity.capacity_model import CapacityModel
from framework_serving.advice.capacity.capacity_scores import held_out_answers, macro_f1, score
from framework_serving.advice.capacity.learned_choice import learned_answer
from framework_serving.advice.capacity.population_draws import draw
from framework_serving.advice.capacity.small_tree import tree_lines
from framework_serving.advice.capacity.workload_adapters import WorkloadPopulation
from tests.framework_serving.advice.capacity.known_engine import ENGINE, capacity_tok_s, known_data

pytest.importorskip("lightgbm")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> CapacityData:
    return known_data(24)


@pytest.fixture(scope="module")
def model(data: CapacityData) -> CapacityModel:
    return fit(data, learning_rows(data))


def test_populations_never_seen_get_the_capacity_within_a_few_percent(model: CapacityModel) -> None:
    errors = []
    for index in range(100, 115):
        workload = draw(index)
        adapters = WorkloadPopulation(workload).adapters(40)
        rows = rows_of(adapters, np.array([16.0]), ENGINE)
        errors.append(abs(np.log(model.capacity_tok_s(rows)[0] / capacity_tok_s(workload, 40, 16))))
    assert np.median(errors) < 0.05


def test_the_answer_serves_what_the_known_law_serves(model: CapacityModel) -> None:
    workload = {**draw(3), "rates_rps": [0.2], "ranks": [16], "popularity": {"kind": "list"}}
    workload = {
        key: value for key, value in workload.items() if key not in ("arrivals", "bursts", "activity")
    }
    best = learned_answer(model, ENGINE, WorkloadPopulation(workload).adapters).best
    assert best is not None
    load = float(WorkloadPopulation(workload).adapters(best.adapters).load_tok_s.sum())
    assert load == pytest.approx(capacity_tok_s(workload, best.adapters, best.slots), rel=0.08)
    assert best.low <= best.adapters <= best.high
    assert 0.0 <= best.risk <= 1.0


def test_a_saved_model_answers_alike(model: CapacityModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.json")
    again = CapacityModel.load(tmp_path / "model.json")
    population = WorkloadPopulation(draw(7)).adapters
    assert learned_answer(again, ENGINE, population) == learned_answer(model, ENGINE, population)


@pytest.mark.parametrize("text", ["{", "{}", '{"kind": "adapter capacity model", "format": 0}'])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match=r"m\.json"):
        CapacityModel.load(tmp_path / "m.json")


@pytest.mark.parametrize("name", sorted(MONOTONE))
def test_the_capacity_relative_to_the_estimate_follows_physics(model: CapacityModel, name: str) -> None:
    rows = rows_of(WorkloadPopulation(draw(5)).adapters(30), np.array([4.0, 32.0]), ENGINE)
    place = FEATURES.index(name)
    values = np.linspace(*model.ranges[name], 25)
    for start in rows.features:
        features = np.tile(start, (25, 1))
        features[:, place] = values
        found = model.capacity_tok_s(replace_features(rows, features))
        assert (np.diff(found) * MONOTONE[name] >= -1e-9).all()


def replace_features(rows: CapacityRows, features: np.ndarray) -> CapacityRows:
    ones = np.ones(len(features))
    return replace(rows, features=features, estimate_tok_s=ones, load_tok_s=ones)


def test_what_lies_outside_of_the_learned_range_is_said(model: CapacityModel) -> None:
    workload = {**draw(3), "rates_rps": [400.0], "popularity": {"kind": "list"}}
    outside = learned_answer(model, ENGINE, WorkloadPopulation(workload).adapters).outside
    assert any(text.startswith("rate 400 (learned: ") for text in outside)


def test_ranks_above_all_known_ones_and_engines_without_memory_serve_nothing(model: CapacityModel) -> None:
    workload = {**draw(3), "ranks": [128]}
    answer = learned_answer(model, ENGINE, WorkloadPopulation(workload).adapters)
    assert (answer.best, answer.choices) == (None, ())


def test_held_out_answers_are_scored_on_the_published_grid(data: CapacityData) -> None:
    found = score(held_out_answers(data))
    assert found["populations"] == 24
    assert found["within_a_grid_step_percent"] >= 95
    assert found["starvation_macro_f1"] >= 0.95


def test_the_small_tree_is_readable(model: CapacityModel) -> None:
    assert any("capacity = estimate ×" in line for line in tree_lines(model.tree))


def test_too_few_populations_say_what_to_do(data: CapacityData) -> None:
    with pytest.raises(UserError, match="learn-adapters --populations"):
        learning_rows(replace(data, examples=data.examples[:3]))


def test_macro_f1_counts_both_classes_alike() -> None:
    assert macro_f1([True, True, False], [True, True, False]) == 1.0
    assert macro_f1([True, True, True], [True, True, False]) == pytest.approx(0.4)
