from __future__ import annotations

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
        ({"kind": "poisson", "rate_rps": float("inf"), "num_requests": 5}, "rate_rps: must be finite"),
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
