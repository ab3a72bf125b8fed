"""The saturation verdict, on queues whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_vllm.client.load_contracts import SaturationRule
from framework_vllm.client.saturation import judge, slope

RULE = SaturationRule()


def queue(
    load: float, duration_s: float, rate: float = 50.0, seed: int = 0, servers: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Arrivals and first tokens of an M/M/c queue at `load` times its capacity."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1 / rate, int(rate * duration_s)))
    services = random.exponential(servers * load / rate, len(arrivals))
    free = np.zeros(servers)
    begins = np.empty(len(arrivals))
    for request, (arrival, service) in enumerate(zip(arrivals, services, strict=True)):
        first = int(free.argmin())
        begins[request] = max(arrival, free[first])
        free[first] = begins[request] + service
    return arrivals, begins


def first_verdict_s(arrivals: np.ndarray, first: np.ndarray, until_s: float) -> float | None:
    for now_s in np.arange(1.0, until_s):
        if judge(arrivals, np.where(first <= now_s, first, np.nan), now_s, RULE).saturated:
            return float(now_s)
    return None


@pytest.mark.parametrize("seed", range(3))
def test_a_quarter_more_than_capacity_is_found_soon_after_the_window_is_full(seed: int) -> None:
    found = first_verdict_s(*queue(1.25, 120, seed=seed), until_s=120)
    assert found is not None
    assert RULE.warmup_s + RULE.window_s <= found <= 60


@pytest.mark.parametrize("seed", range(3))
def test_a_load_below_capacity_is_never_called_saturated(seed: int) -> None:
    assert first_verdict_s(*queue(0.8, 200, seed=seed), until_s=200) is None


def test_slopes_are_those_of_the_overload() -> None:
    load, rate = 1.5, 50.0
    arrivals, first = queue(load, 120, rate)
    verdict = judge(arrivals, first, 90.0, RULE)
    assert verdict.saturated
    assert verdict.ttft_s_per_s is not None
    assert verdict.queue_per_s is not None
    assert verdict.ttft_s_per_s.value == pytest.approx(1 - 1 / load, rel=0.15)
    assert verdict.queue_per_s.value == pytest.approx(rate * (1 - 1 / load), rel=0.15)
    assert verdict.ttft_s_per_s.low <= verdict.ttft_s_per_s.value


def test_the_start_of_a_load_is_never_judged() -> None:
    arrivals, first = queue(3.0, 60)
    assert not judge(arrivals, first, RULE.warmup_s + RULE.window_s - 0.1, RULE).saturated


def test_a_server_that_answers_nobody_is_not_called_saturated() -> None:
    arrivals = np.arange(0, 60, 0.1)
    verdict = judge(arrivals, np.full(len(arrivals), np.nan), 60.0, RULE)
    assert (verdict.saturated, verdict.ttft_s_per_s) == (False, None)
    assert verdict.queue_per_s is not None
    assert verdict.queue_per_s.value == pytest.approx(10, rel=0.05)


@settings(deadline=None)
@given(
    st.lists(st.floats(-100, 100), min_size=5, max_size=15),
    st.floats(-5, 5),
    st.floats(0.1, 10),
)
def test_a_slope_follows_a_change_of_scale_and_a_trend(
    values: list[float], trend: float, scale: float
) -> None:
    times = np.arange(len(values), dtype=np.float64)
    plain = slope(times, np.array(values), 0.9)
    changed = slope(times, scale * np.array(values) + trend * times, 0.9)
    assert plain is not None
    assert changed is not None
    assert plain.low <= plain.value
    assert changed.value == pytest.approx(scale * plain.value + trend, abs=1e-6)
    assert changed.low == pytest.approx(scale * plain.low + trend, abs=1e-6)


def test_the_bound_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    times = np.arange(12.0)
    lows = [found.low for _ in range(2000) if (found := slope(times, random.normal(size=12), 0.95))]
    assert len(lows) == 2000
    assert 0.92 <= np.mean(np.array(lows) <= 0) <= 0.98  # no trend: the true slope is 0


def test_too_few_points_bound_nothing() -> None:
    assert slope(np.arange(4.0), np.arange(4.0), 0.99) is None
    perfect = slope(np.arange(5.0), 2 * np.arange(5.0), 0.99)  # 1 of 120 orders rises throughout
    assert perfect is not None
    assert perfect.low == 2
