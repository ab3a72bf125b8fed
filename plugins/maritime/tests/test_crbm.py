"""The machine: its gradients, its limits, and that a forecast never reads the present."""

from __future__ import annotations

import numpy as np
import pytest
from framework_maritime.series.crbm import Crbm, sigmoid, train
from framework_maritime.series.forecasting import forecaster
from framework_maritime.series.windows import Series, history, usable_rows

random = np.random.default_rng(0)


def machine(visible: int = 3, hidden: int = 4, delay: int = 5) -> Crbm:
    return Crbm.fresh(visible, hidden, delay, 1)


def test_the_step_in_w_of_one_sample_is_the_hand_computed_one() -> None:
    one = machine(2, 2, 1)
    v, past = np.array([[0.5, -1.0]]), np.array([[0.2, 0.3]])
    p = sigmoid(v @ one.W + past @ one.B + one.b)
    h = (np.random.default_rng(7).random(p.shape) < p).astype(float)
    w = h @ one.W.T + past @ one.A + one.a
    q = sigmoid(w @ one.W + past @ one.B + one.b)
    found = one.gradient(v, past, np.random.default_rng(7))
    assert np.allclose(found["W"], v.T @ p - w.T @ q)
    assert np.allclose(found["B"], past.T @ (p - q))


def test_the_step_in_a_is_minus_the_gradient_of_the_squared_error_by_finite_differences() -> None:
    one = machine()
    v, past = random.normal(size=(8, 3)), random.normal(size=(8, 15))
    p = one.activations(v, past)
    h = (np.random.default_rng(3).random(p.shape) < p).astype(float)
    step = one.gradient(v, past, np.random.default_rng(3))["A"] * len(v)

    def loss(a: np.ndarray) -> float:
        return 0.5 * float(np.sum((v - (h @ one.W.T + past @ a + one.a)) ** 2))

    for row, column in [(0, 0), (7, 1), (14, 2)]:
        up, down = one.A.copy(), one.A.copy()
        up[row, column] += 1e-5
        down[row, column] -= 1e-5
        assert step[row, column] == pytest.approx(-(loss(up) - loss(down)) / 2e-5, rel=1e-5)


def test_without_hidden_units_at_work_it_learns_what_least_squares_learns() -> None:
    past = random.normal(size=(4_000, 6))
    truth = random.normal(size=(6, 2))
    v = past @ truth + 0.1 * random.normal(size=(4_000, 2))
    one = Crbm(np.zeros((2, 1)), np.zeros((6, 1)), np.zeros((6, 2)), np.zeros(2), np.zeros(1))
    for _ in range(400):
        one.A = one.A + 0.1 * one.gradient(v, past, random)["A"]
    assert np.allclose(one.A, np.linalg.lstsq(past, v, rcond=None)[0], atol=1e-3)


def test_the_same_seed_gives_the_same_bytes() -> None:
    v, past = random.normal(size=(500, 3)), random.normal(size=(500, 15))
    assert np.array_equal(train(v, past, epochs=3, seed=5).W, train(v, past, epochs=3, seed=5).W)


def test_a_forecast_does_not_read_the_row_that_it_forecasts_and_a_reconstruction_does() -> None:
    one = machine()
    values = random.normal(size=(40, 3))
    changed = values.copy()
    changed[30] += 5.0
    rows = np.array([30])
    past, past_changed = history(values, rows, 5), history(changed, rows, 5)
    assert np.array_equal(one.forecast(past), one.forecast(past_changed))
    before, after = one.reconstruction(values[rows], past), one.reconstruction(changed[rows], past_changed)
    assert not np.allclose(before, after)


@pytest.mark.parametrize("learner", ["crbm", "last", "seasonal", "var", "arima"])
def test_no_learner_reads_the_present_or_the_future(learner: str) -> None:
    pytest.importorskip("statsmodels")
    training = [Series.of(np.cumsum(random.normal(size=(300, 3)), axis=0) * 0.1) for _ in range(3)]
    ahead = forecaster(learner, training, delay=5, hidden=4, season=10, seed=0, windows=500)
    values = np.cumsum(random.normal(size=(120, 3)), axis=0) * 0.1
    rows = np.arange(80, 100)
    changed = values.copy()
    changed[99:] += 3.0
    assert np.allclose(ahead(Series.of(values), rows), ahead(Series.of(changed), rows))


def test_rows_behind_a_gap_have_no_window() -> None:
    t = np.concatenate([np.arange(50), np.arange(50) + 500]) * 60.0
    rows = usable_rows(Series.of(np.zeros((100, 3)), t), 10)
    assert rows.tolist() == [*range(10, 50), *range(60, 100)]


def test_training_finds_structure_that_the_last_value_misses() -> None:
    t = np.arange(3_000)
    values = np.stack([np.sin(t / 3), np.cos(t / 3), np.sin(t / 7)], axis=1) + 0.02 * random.normal(
        size=(3_000, 3)
    )
    rows = usable_rows(Series.of(values), 10)
    v, past = values[rows], history(values, rows, 10)
    one = train(v[:2_000], past[:2_000], hidden=10, seed=0)
    error = np.sqrt(np.mean((one.forecast(past[2_000:]) - v[2_000:]) ** 2))
    last = np.sqrt(np.mean((past[2_000:, :3] - v[2_000:]) ** 2))
    assert error < 0.5 * last
