"""Effects of single parameters, and the price of work: hand-made cases and properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.analysis.parameter_effects import parameter_effects
from framework.analysis.unit_cost import cost_of_work
from framework.quantity import Quantity

SIZES = {"small": 1.0, "large": 0.25}


def grid(batch_effect: dict[str, float]) -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    """Return metric and parameters of a full grid of models and batches whose effects multiply."""
    metric, model, batch = {}, {}, {}
    for name, size in SIZES.items():
        for value, factor in batch_effect.items():
            run = f"{name}-{value}"
            metric[run], model[run], batch[run] = 100 * size * factor, name, value
    return metric, {"model": model, "batch": batch}


def test_an_effect_is_not_mixed_with_that_of_another_parameter() -> None:
    effects = parameter_effects(*grid({"1": 1.0, "8": 4.0, "64": 8.0}))
    by_name = {effect.name: effect for effect in effects}
    assert [effect.name for effect in effects] == ["batch", "model"]  # 8 times and 4 times
    batch = by_name["batch"]
    assert batch.reference == "1"
    assert [(item.value, item.change, item.blocks) for item in batch.values] == [
        ("1", 0, 2),
        ("8", 3, 2),
        ("64", 7, 2),
    ]
    assert by_name["model"].blocks == 3
    assert by_name["model"].strength == pytest.approx(3)


def test_runs_without_a_partner_say_nothing() -> None:
    metric = {"a": 1.0, "b": 2.0}
    assert parameter_effects(metric, {"x": {"a": "1", "b": "2"}, "y": {"a": "1", "b": "2"}}) == []


def test_repeats_count_as_one_and_what_is_not_positive_is_left_out() -> None:
    metric = {"a1": 1.0, "a2": 3.0, "b": 4.0, "c": 0.0}
    (effect,) = parameter_effects(metric, {"x": {"a1": "1", "a2": "1", "b": "2", "c": "3"}})
    assert [(item.value, item.change) for item in effect.values] == [("1", 0.0), ("2", 1.0)]


@given(st.floats(0.1, 10), st.floats(0.5, 100))
def test_the_unit_of_the_metric_does_not_change_an_effect(scale: float, factor: float) -> None:
    metric, parameters = grid({"1": 1.0, "2": factor})
    scaled = {run: scale * value for run, value in metric.items()}
    for one, other in zip(
        parameter_effects(metric, parameters), parameter_effects(scaled, parameters), strict=True
    ):
        assert one.strength == pytest.approx(other.strength)


def test_work_at_one_unit_a_second_costs_an_hour_for_3600_units() -> None:
    cost = cost_of_work(Quantity(1.0, 0.5, 2.0), price_per_hour=2.5, machines=1, units=3600)
    assert (cost.value, cost.low, cost.high) == (2.5, 1.25, 5.0)


@given(st.floats(0.01, 1e6), st.floats(0, 1e3), st.integers(1, 64))
def test_cost_grows_with_price_and_machines_and_falls_with_the_rate(
    rate: float, price: float, machines: int
) -> None:
    cost = cost_of_work(Quantity(rate), price, machines, 1e6)
    assert cost.value == pytest.approx(cost_of_work(Quantity(rate), price, 1, 1e6).value * machines)
    assert cost_of_work(Quantity(2 * rate), price, machines, 1e6).value == pytest.approx(cost.value / 2)


def test_a_machine_that_does_nothing_has_no_price_of_work() -> None:
    with pytest.raises(ValueError, match="does no work"):
        cost_of_work(Quantity(0.0), 1.0, 1, 1)
