from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.workloads.arrivals import arrival_times
from framework_serving.workloads.settings import ArrivalSettings


def times(
    num_requests: int | None = None, duration_s: float | None = None, seed: int = 0, **keys: object
) -> np.ndarray:
    return arrival_times(ArrivalSettings(**keys), num_requests, duration_s, np.random.default_rng(seed))


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["constant", "poisson", "gamma"]),
    rate=st.floats(0.01, 500),
    cv=st.floats(0.2, 4),
    count=st.integers(1, 300),
    window=st.one_of(st.none(), st.floats(0.5, 20)),
    seed=st.integers(0, 9),
)
def test_arrivals_are_sorted_start_at_zero_and_keep_both_limits(
    kind: str, rate: float, cv: float, count: int, window: float | None, seed: int
) -> None:
    spread = {"cv": cv} if kind == "gamma" else {}
    found = times(count, window, seed, kind=kind, rate_rps=rate, **spread)
    assert found[0] == 0
    assert (np.diff(found) >= 0).all()
    assert len(found) <= count
    if window is None:
        assert len(found) == count
    else:
        assert found[-1] <= window


@pytest.mark.parametrize(("kind", "cv"), [("poisson", 1.0), ("gamma", 3.0), ("gamma", 0.3)])
def test_random_gaps_have_the_rate_and_the_variation(kind: str, cv: float) -> None:
    gaps = np.diff(times(40_000, kind=kind, rate_rps=5.0, cv=cv))
    assert gaps.mean() == pytest.approx(0.2, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_constant_arrivals_keep_one_gap() -> None:
    assert list(times(4, kind="constant", rate_rps=4)) == [0, 0.25, 0.5, 0.75]


def test_duration_alone_ends_the_arrivals() -> None:
    assert len(times(None, 10, kind="constant", rate_rps=4)) == 40


def test_burst_is_at_zero_and_a_ramp_spreads_it() -> None:
    assert list(times(3, kind="burst")) == [0, 0, 0]
    assert list(times(4, kind="burst", ramp_s=2)) == [0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "bursty"}, "workload.arrivals.kind: unknown value 'bursty' (did you mean 'burst'?)"),
        ({"kind": "burst"}, "workload.num_requests: needed with burst"),
        ({"kind": "burst", "num_requests": 0}, "workload.num_requests: must be at least 1"),
        ({"kind": "burst", "num_requests": 5, "ramp_s": -1}, "workload.arrivals.ramp_s: must be at least 0"),
        ({"kind": "poisson", "num_requests": 5}, "workload.arrivals.rate_rps: needed"),
        (
            {"kind": "poisson", "rate_rps": 0, "num_requests": 5},
            "workload.arrivals.rate_rps: must be greater",
        ),
        ({"kind": "poisson", "rate_rps": float("-inf"), "num_requests": 5}, "rate_rps: must be finite"),
        ({"kind": "poisson", "rate_rps": math.inf, "duration_s": 5}, "workload.num_requests: needed"),
        ({"kind": "burst", "rate_rps": 5, "num_requests": 5}, "rate_rps: a burst has no rate"),
        ({"kind": "gamma", "rate_rps": math.inf, "cv": 2, "num_requests": 5}, "cv: without effect"),
        ({"kind": "poisson", "rate_rps": 5, "burstiness": 2, "num_requests": 5}, "burstiness: applies to"),
        ({"kind": "gamma", "rate_rps": 5, "cv": 2, "burstiness": 2, "num_requests": 5}, "set one of the two"),
        ({"kind": "gamma", "rate_rps": 5, "burstiness": 0, "num_requests": 5}, "burstiness: must be greater"),
        ({"kind": "concurrency", "num_requests": 5}, "workload.arrivals.concurrency: needed"),
        ({"kind": "concurrency", "concurrency": 0, "num_requests": 5}, "concurrency: must be at least 1"),
        ({"kind": "concurrency", "concurrency": 2, "rate_rps": 5, "num_requests": 5}, "has no rate"),
        ({"kind": "concurrency", "concurrency": 2}, "workload.num_requests: needed with concurrency"),
        ({"kind": "poisson", "rate_rps": 5, "rate_shape": "linear", "num_requests": 5}, "without effect"),
        (
            {"kind": "poisson", "rate_rps": 5, "rate_points": [[0, 1]], "num_requests": 5},
            "set one of the two",
        ),
        ({"kind": "poisson", "rate_points": [], "num_requests": 5}, "rate_points: at least one"),
        ({"kind": "poisson", "rate_points": [[0, 1], [0, 2]], "num_requests": 5}, "begin with 0 and rise"),
        ({"kind": "poisson", "rate_points": [[0, 1], 2], "num_requests": 5}, "point 1 must be"),
        (
            {"kind": "poisson", "rate_points": [[0, 1], [9, 0]], "num_requests": 5},
            "rate_points: must be greater",
        ),
        (
            {"kind": "poisson", "rate_points": [[0, 1]], "rate_shape": "linear", "num_requests": 5},
            "rate_shape: without effect",
        ),
        ({"kind": "poisson", "rate_rps": 5}, "workload.num_requests: needed, or workload.duration_s"),
        ({"kind": "poisson", "rate_rps": 5, "duration_s": -1}, "workload.duration_s: must be greater than 0"),
        (
            {"kind": "gamma", "rate_rps": 5, "cv": 0, "num_requests": 5},
            "workload.arrivals.cv: must be greater",
        ),
        (
            {"kind": "poisson", "rate_rps": 1e9, "duration_s": 3600},
            "workload.arrivals.rate_rps: 1e+09 for 3600 s",
        ),
        (
            {"kind": "poisson", "rate_rps": 5, "num_requests": 5, "ramp_s": 1},
            "workload.arrivals.ramp_s: only for burst",
        ),
    ],
)
def test_bad_arrivals_are_one_line_that_names_the_key(keys: dict[str, object], message: str) -> None:
    limits = {name: keys.pop(name, None) for name in ("num_requests", "duration_s")}
    with pytest.raises(ConfigError) as caught:
        times(**limits, **keys)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_an_infinite_rate_is_a_burst() -> None:
    for kind in ("burst", "poisson", "constant", "gamma"):
        assert list(times(3, kind=kind, rate_rps=math.inf)) == [0, 0, 0]


def test_burstiness_is_the_shape_of_the_gamma_law() -> None:
    """vLLM: "burstiness" b gives gaps of variance mean² / b."""
    assert list(times(50, kind="gamma", rate_rps=5, burstiness=0.25)) == list(
        times(50, kind="gamma", rate_rps=5, cv=2)
    )


STEPS = {"rate_points": [[0, 2], [100, 8], [200, 0], [250, 4]], "rate_shape": "step"}
RAMP = {"rate_points": [[0, 0], [100, 10]], "rate_shape": "linear"}
GROWTH = {"rate_points": [[0, 1], [100, 16]], "rate_shape": "exponential"}


@pytest.mark.parametrize(
    ("course", "windows"),
    [
        (STEPS, {(0, 100): 200, (100, 200): 800, (200, 250): 0, (250, 350): 400}),
        (RAMP, {(0, 50): 125, (50, 100): 375, (100, 200): 1000}),
        (GROWTH, {(0, 50): 50 * 3 / math.log(4), (50, 100): 200 * 3 / math.log(4), (100, 200): 1600}),
    ],
)
def test_steps_and_ramps_have_the_rate_of_each_time(
    course: dict[str, object], windows: dict[tuple[float, float], float]
) -> None:
    end_s = max(end for _, end in windows)
    even = times(None, end_s, kind="constant", **course)
    random = times(None, end_s, kind="poisson", **course)
    for (start, end), expected in windows.items():
        assert abs(((even >= start) & (even < end)).sum() - expected) <= 1.5
        found = ((random >= start) & (random < end)).sum()
        assert abs(found - expected) <= 4 * math.sqrt(expected) + 1


def test_requests_alone_end_arrivals_at_a_changing_rate() -> None:
    found = times(1_000, kind="gamma", cv=2, **STEPS)
    assert len(found) == 1_000
    assert (np.diff(found) >= 0).all()


def test_users_start_over_the_ramp() -> None:
    found = times(5, kind="concurrency", concurrency=4, ramp_s=2)
    assert list(found) == [0, 0.5, 1.0, 1.5, 2.0]
    assert list(times(3, kind="concurrency", concurrency=8, ramp_s=3)) == [0, 1, 2]
