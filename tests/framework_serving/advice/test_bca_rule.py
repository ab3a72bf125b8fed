from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_serving.advice.bca_rule import (
    BatchPoint,
    BcaRule,
    batching_efficiency,
    choose_batch,
    freed_gib,
    latency_at,
    utilization_to_set,
)

BATCHES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
T0_MS, SLOPE_MS = 4.0, 0.1


def affine(
    batches: tuple[int, ...] = BATCHES, t0_ms: float = T0_MS, slope_ms: float = SLOPE_MS
) -> list[BatchPoint]:
    return [
        BatchPoint(
            batch=batch,
            throughput_tok_s=1000 * batch / (t0_ms + slope_ms * batch),
            latency_ms=t0_ms + slope_ms * batch,
            preemptions=0,
        )
        for batch in batches
    ]


def chosen(points: list[BatchPoint], rule: BcaRule) -> int:
    choice = choose_batch(points, rule)
    assert choice is not None
    assert choice.chosen is not None
    return choice.chosen.batch


@given(multiple=st.floats(1.1, 8), t0_ms=st.floats(1, 30), slope_ms=st.floats(0.01, 0.5))
def test_latency_limit_gives_the_closed_form_batch(multiple: float, t0_ms: float, slope_ms: float) -> None:
    limit_batch = (multiple * (t0_ms + 32 * slope_ms) - t0_ms) / slope_ms
    expected = max(batch for batch in range(1, 1025) if batch <= limit_batch * (1 + 1e-12))
    rule = BcaRule(slo_multiple=multiple, min_efficiency=None)
    assert chosen(affine(tuple(range(1, 1025)), t0_ms, slope_ms), rule) == pytest.approx(expected, abs=1)


def test_efficiency_limit_gives_the_closed_form_batch() -> None:
    # g(B) = L(1) / L(B) > 0.1 for an affine engine: B < (10 · 4.1 - 4) / 0.1 = 370
    rule = BcaRule(slo_multiple=100, min_efficiency=0.1)
    assert chosen(affine(), rule) == 256
    assert chosen(affine((*BATCHES, 369, 370, 371)), rule) == 369


def test_efficiency_is_one_alone_and_falls() -> None:
    values = list(batching_efficiency(affine()).values())
    assert values[0] == 1
    assert values == sorted(values, reverse=True)


def test_preempting_point_is_not_chosen_unless_asked_for() -> None:
    points = [replace(point, preemptions=7 if point.batch >= 128 else 0) for point in affine()]
    rule = BcaRule(slo_multiple=4)
    assert chosen(points, rule) == 96
    assert chosen(points, replace(rule, allow_preemption=True)) == chosen(affine(), rule)


def test_unknown_preemption_is_not_taken_for_none() -> None:
    points = [replace(point, preemptions=None if point.batch == 128 else 0) for point in affine()]
    choice = choose_batch(points, BcaRule(slo_multiple=3))
    assert choice is not None
    assert choice.rejected[128] == "unknown whether requests were preempted"


def test_batch_past_the_throughput_maximum_is_not_chosen() -> None:
    points = [
        replace(point, throughput_tok_s=point.throughput_tok_s * (0.8 if point.batch >= 128 else 1.0))
        for point in affine()
    ]
    choice = choose_batch(points, BcaRule(slo_multiple=3, min_efficiency=None))
    assert choice is not None
    assert choice.chosen is not None
    assert choice.chosen.batch == 96
    assert choice.rejected[128] == "throughput is below that of a smaller batch"


@given(st.integers(0, 10_000), st.sampled_from([2.0, 4.0]))
def test_noise_at_the_floor_moves_the_choice_by_one_grid_step_at_most(seed: int, multiple: float) -> None:
    rule = BcaRule(slo_multiple=multiple)
    exact = BATCHES.index(chosen(affine(), rule))
    noise = np.random.default_rng(seed).normal(1.0, 0.005, (len(BATCHES), 2))
    noisy = [
        replace(point, throughput_tok_s=point.throughput_tok_s * t, latency_ms=point.latency_ms * latency)
        for point, (t, latency) in zip(affine(), noise, strict=True)
    ]
    found = BATCHES.index(chosen(noisy, rule))
    assert abs(found - exact) <= 1
    lost = 1 - affine()[found].throughput_tok_s / affine()[exact].throughput_tok_s
    assert lost < 0.15


def test_latency_between_points_lies_on_the_line() -> None:
    points = affine((1, 16, 64))
    assert latency_at(points, 32) == pytest.approx(T0_MS + 32 * SLOPE_MS)
    assert latency_at(points, 128) is None


def test_crossing_of_the_limit_is_interpolated() -> None:
    choice = choose_batch(affine(), BcaRule(slo_multiple=2))
    assert choice is not None
    assert choice.latency_limit_batch == pytest.approx((2 * (T0_MS + 3.2) - T0_MS) / SLOPE_MS)


@pytest.mark.parametrize(
    ("limit", "field", "reason"),
    [
        ({"max_itl_p99_ms": 9.0}, {"itl_p99_ms": 8.0}, None),
        ({"max_itl_p99_ms": 9.0}, {"itl_p99_ms": 10.0}, "p99 ITL 10 ms is over 9 ms"),
        ({"max_itl_p99_ms": 9.0}, {}, "p99 ITL is unknown"),
        ({"max_ttft_p99_ms": 500.0}, {"ttft_p99_ms": 501.0}, "p99 TTFT 501 ms is over 500 ms"),
    ],
)
def test_tail_latency_limits(limit: dict[str, float], field: dict[str, float], reason: str | None) -> None:
    points = [replace(point, **field) for point in affine()]
    choice = choose_batch(points, BcaRule(slo_multiple=2, **limit))
    assert choice is not None
    assert choice.rejected.get(8) == (reason or "a larger batch is feasible")
    assert (choice.chosen is None) == (reason is not None)


def test_sweep_that_does_not_reach_the_reference_gives_no_choice() -> None:
    assert choose_batch(affine((1, 2, 4)), BcaRule()) is None
    assert choose_batch([], BcaRule()) is None


def test_freed_memory_of_the_published_point() -> None:
    # OPT-1.3B at B=128, 390 tokens out: 297,552 tokens of 192 KiB, peak 25.72 %; the paper prints 63.23 % of 64 GB
    cache_gib = 297_552 * 192 / 1024**2
    assert 100 * freed_gib(cache_gib, 0.25720609) / 64 == pytest.approx(63.23, abs=0.01)


@given(st.floats(0, 1), st.floats(0, 0.2))
def test_utilization_to_set_keeps_the_peak_and_never_rises(peak: float, margin: float) -> None:
    found = utilization_to_set(0.9, 64.0, 50.0, peak, margin)
    left_gib = 50.0 - (0.9 - found) * 64.0
    assert left_gib >= 50.0 * peak - 1e-6
    assert found <= 0.9
