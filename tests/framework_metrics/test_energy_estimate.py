from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_metrics.energy.estimate import (
    NoEnergyError,
    counter_energy,
    integrated_energy,
    sum_of,
    unwrapped,
)
from framework_metrics.sampling.window import Window

POWERS = st.lists(st.floats(10, 700), min_size=8, max_size=8)


def _energy_until(powers: list[float], t_s: np.ndarray) -> np.ndarray:
    """Return the true joules of power that changes to the next value each second."""
    corners = np.concatenate([[0.0], np.cumsum(powers)])
    return np.interp(t_s, np.arange(len(corners)), corners)


def _readings(powers: list[float], tick_s: float, reading_s: float) -> tuple[np.ndarray, np.ndarray]:
    t_s = np.arange(0.0, len(powers), reading_s)
    return t_s, 5000.0 + _energy_until(powers, tick_s * np.floor(t_s / tick_s + 1e-9))


@given(
    powers=POWERS,
    tick_s=st.floats(0.02, 0.1),
    reading_s=st.floats(0.005, 0.2),
    begin=st.floats(0.5, 3),
    length=st.floats(1, 4),
)
def test_the_true_energy_lies_within_the_bounds_of_a_counter(
    powers: list[float], tick_s: float, reading_s: float, begin: float, length: float
) -> None:
    t_s, joules = _readings(powers, tick_s, reading_s)
    found = counter_energy(t_s, joules, Window(begin, begin + length), "counter")
    first, last = _energy_until(powers, np.array([begin, begin + length]))
    # a tick shows energy that was used up to one tick before it
    late_j = max(powers) * tick_s
    assert found.low_j - late_j <= last - first <= found.high_j + late_j
    assert found.low_j <= found.energy_j <= found.high_j


def test_constant_power_over_a_counter_is_power_times_time() -> None:
    t_s, joules = _readings([300.0] * 8, 0.1, 0.05)
    found = counter_energy(t_s, joules, Window(1.0, 6.0), "counter")
    assert found.energy_j == pytest.approx(1500, rel=1e-6)
    assert found.updates == 50
    assert found.cadence_s == pytest.approx(0.1)
    assert found.minimum_window_s == pytest.approx(1.0)
    assert found.flags == ()
    assert found.high_j - found.low_j == pytest.approx(2 * 300 * 0.1 + 2 * 300 * 0.05, rel=0.3)


def test_a_window_with_few_ticks_is_flagged_and_says_which_would_do() -> None:
    t_s, joules = _readings([300.0] * 8, 0.1, 0.05)
    found = counter_energy(t_s, joules, Window(1.0, 1.35), "counter")
    assert found.energy_j == pytest.approx(105, rel=0.35)
    assert found.flags == ("short: 3 sensor updates in 0.35 s (1 s would be sufficient)",)


@pytest.mark.parametrize(
    ("change", "window", "reason"),
    [
        (lambda joules: np.full_like(joules, 7.0), (1, 5), "counter: was updated 0 times in 4 s"),
        (
            lambda joules: np.where(np.arange(len(joules)) < 80, joules, joules - 6e3),
            (1, 7),
            "reset 3 s into",
        ),
        (lambda joules: joules, (1.02, 1.15), "counter: was updated 1 times in 0.13 s"),
        (lambda joules: joules, (1, 20), "counter: no samples in the last 12"),
        (lambda joules: joules, (-9, 5), "counter: no samples in the first 9 s"),
        (lambda joules: joules, (5, 5), "counter: was updated 0 times in 0 s"),
    ],
)
def test_a_counter_that_can_not_tell_says_why_and_is_never_zero(
    change: object, window: tuple[float, float], reason: str
) -> None:
    t_s, joules = _readings([300.0] * 8, 0.1, 0.05)
    with pytest.raises(NoEnergyError, match=reason):
        counter_energy(t_s, change(joules), Window(*window), "counter")  # type: ignore[operator]


@given(st.lists(st.floats(0.01, 40), min_size=2, max_size=50), st.floats(0, 99))
def test_a_wrapping_counter_is_unwrapped_exactly(steps: list[float], first: float) -> None:
    true = first + np.concatenate([[0], np.cumsum(steps)])
    assert unwrapped(true % 100.0, 100.0) - first == pytest.approx(true - first, abs=1e-6)


def test_a_small_fall_is_no_wrap_but_a_reset() -> None:
    values = np.array([10.0, 20.0, 30.0, 0.0, 10.0])
    assert unwrapped(values, 1000.0).tolist() == values.tolist()


@given(st.floats(1, 1000), st.floats(0.1, 2), st.integers(2, 60))
def test_constant_power_is_integrated_exactly(watts: float, period_s: float, samples: int) -> None:
    t_s = period_s * np.arange(samples)
    found = integrated_energy(t_s, np.full(samples, watts), Window(0.0, float(t_s[-1])), "power")
    assert found.energy_j == pytest.approx(watts * t_s[-1])
    assert found.low_j == pytest.approx(found.energy_j)
    assert found.high_j == pytest.approx(found.energy_j)


def test_a_ramp_is_its_trapezoid_exactly_also_between_samples() -> None:
    t_s = np.array([0.0, 1.0, 2.5, 3.0, 4.0, 6.0])
    found = integrated_energy(t_s, 100 + 50 * t_s, Window(0.5, 5.5), "power")
    assert found.energy_j == pytest.approx(100 * 5 + 25 * (5.5**2 - 0.5**2))


def test_a_gap_widens_the_bounds_to_the_powers_seen_and_is_flagged() -> None:
    t_s = np.concatenate([np.arange(0.0, 10.0), np.arange(30.0, 41.0)])
    watts = np.where(t_s < 20, 100.0, 400.0)
    found = integrated_energy(t_s, watts, Window(0.0, 40.0), "power")
    assert found.flags == ("gaps: no samples in 21 s of 40 s",)
    assert found.low_j <= 9 * 100 + 21 * 100 + 10 * 400
    assert found.high_j >= 9 * 100 + 21 * 400 + 10 * 400


def test_one_power_sample_stands_for_the_window_and_says_so() -> None:
    found = integrated_energy(np.array([0.2]), np.array([250.0]), Window(0.0, 0.5), "power")
    assert (found.energy_j, found.low_j, found.high_j) == (125.0, 0.0, 250.0)
    assert found.source == "power × duration"
    assert found.flags == ("short: 1 sensor updates in 0.5 s",)


@pytest.mark.parametrize(
    ("t_s", "window"), [([], (0, 1)), ([0.5], (1, 2)), ([0.5], (0.5, 0.5)), ([0, 1], (0, 9))]
)
def test_power_that_does_not_cover_the_window_has_no_energy(
    t_s: list[float], window: tuple[float, float]
) -> None:
    with pytest.raises(NoEnergyError):
        integrated_energy(np.array(t_s, dtype=float), np.full(len(t_s), 100.0), Window(*window), "power")


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1))
def test_the_bounds_of_noisy_power_hold_its_true_mean_most_of_the_time(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = 0
    for _ in range(40):
        fine = 300 + 80 * random.standard_normal(4000)
        sample = fine[::40]
        t_s = np.linspace(0, 99, 100)
        found = integrated_energy(t_s, sample, Window(0, 99), "power")
        held += found.low_j <= 300 * 99 <= found.high_j
    assert held >= 30


def test_boards_add_up_with_their_bounds() -> None:
    t_s = np.arange(0.0, 20.0)
    one = integrated_energy(t_s, 100 + t_s, Window(0, 10), "power")
    two = integrated_energy(t_s, 200 + 0 * t_s, Window(0, 10), "power")
    both = sum_of([one, two])
    assert both.energy_j == one.energy_j + two.energy_j
    assert both.low_j == one.low_j + two.low_j
    assert both.source == "power, trapezoid, sum of 2"
