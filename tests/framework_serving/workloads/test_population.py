"""Populations of adapters: popularity, drift, pauses and bursts keep the mean rate and do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.workloads.adapter_mix import AdapterMixWorkload

BASE: dict[str, Any] = {
    "lengths": {"kind": "fixed", "input_tokens": 100, "output_tokens": 50},
    "arrivals": {"kind": "poisson"},
    "duration_s": 4000.0,
    "rates_rps": [],
}
ZIPF = {"kind": "zipf", "mean_rps": 0.5}


def owners_and_times(seed: int = 0, **keys: Any) -> tuple[np.ndarray, np.ndarray]:
    requests = AdapterMixWorkload(**{**BASE, **keys}).build(seed).tables["requests"]
    return requests["adapter_id"].to_numpy(), requests["arrival_s"].to_numpy()


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(["zipf", "uniform"]),
    drift=st.none() | st.floats(50, 5000),
    on=st.none() | st.floats(5, 50),
    burst=st.none() | st.floats(2, 10),
    arrivals=st.sampled_from([{"kind": "poisson"}, {"kind": "gamma", "cv": 2.0}, {"kind": "constant"}]),
    seed=st.integers(0, 1000),
)
def test_the_mean_rate_is_the_same_whatever_changes_over_time(
    kind: str, drift: float | None, on: float | None, burst: float | None, arrivals: Any, seed: int
) -> None:
    keys: dict[str, Any] = {
        "n_adapters": 30,
        "arrivals": arrivals,
        "popularity": {"kind": kind, "mean_rps": 0.5, "drift_s": drift},
    }
    if on is not None:
        keys["activity"] = {"on_s": on, "off_s": 2 * on}
    if burst is not None:
        keys["bursts"] = {"every_s": 40.0, "length_s": 4.0, "factor": burst}
    _, times = owners_and_times(seed, **keys)
    # a hundred bursts carry up to half of the requests, so that their number alone moves the mean by 5 %
    assert len(times) == pytest.approx(30 * 0.5 * 4000, rel=0.12 if on is None and burst is None else 0.3)
    assert np.all(np.diff(times) >= 0)
    assert times[0] == 0
    assert times[-1] < 4000


def test_zipf_rates_fall_with_the_rank_by_the_exponent() -> None:
    workload = AdapterMixWorkload(**BASE, n_adapters=50, popularity={**ZIPF, "exponent": 1.5}).build(3)
    rates = np.sort(workload.tables["adapters"]["rate_rps"].to_numpy())[::-1]
    assert rates == pytest.approx(rates[0] * np.arange(1, 51) ** -1.5)
    assert rates.mean() == pytest.approx(0.5)
    counts = np.bincount(workload.tables["requests"]["adapter_id"].to_numpy(), minlength=50)
    assert counts.max() / counts.sum() == pytest.approx(rates[0] / rates.sum(), rel=0.1)


def test_drift_makes_other_adapters_popular() -> None:
    owners, times = owners_and_times(n_adapters=20, popularity={**ZIPF, "exponent": 2.0, "drift_s": 1000.0})
    popular = [np.bincount(owners[(times >= t) & (times < t + 1000)]).argmax() for t in range(0, 4000, 1000)]
    assert len(set(popular)) > 1
    still, when = owners_and_times(n_adapters=20, popularity={**ZIPF, "exponent": 2.0})
    assert (
        len({np.bincount(still[(when >= t) & (when < t + 1000)]).argmax() for t in range(0, 4000, 1000)}) == 1
    )


def test_a_tenant_that_pauses_has_long_gaps_and_the_others_go_on() -> None:
    pauses = {"on_s": 30.0, "off_s": 300.0}
    owners, times = owners_and_times(n_adapters=10, popularity={**ZIPF, "exponent": 0.0}, activity=pauses)
    longest = [np.diff(times[owners == adapter]).max() for adapter in range(10)]
    assert min(longest) > 150
    assert np.diff(times).max() < 150


def test_bursts_are_common_to_all_adapters() -> None:
    bursts = {"every_s": 400.0, "length_s": 40.0, "factor": 20.0}
    owners, times = owners_and_times(n_adapters=40, popularity={**ZIPF, "exponent": 0.0}, bursts=bursts)
    halves = [np.histogram(times[owners % 2 == half], bins=400, range=(0, 4000))[0] for half in (0, 1)]
    assert np.corrcoef(*halves)[0, 1] > 0.8
    steady_owners, steady = owners_and_times(n_adapters=40, popularity={**ZIPF, "exponent": 0.0})
    calm = [np.histogram(steady[steady_owners % 2 == half], bins=400, range=(0, 4000))[0] for half in (0, 1)]
    assert abs(np.corrcoef(*calm)[0, 1]) < 0.2


def test_adapters_may_have_lengths_of_their_own() -> None:
    workload = AdapterMixWorkload(
        **BASE, n_adapters=4, popularity=ZIPF, adapter_lengths=[{}, {"input_tokens": 900, "output_tokens": 7}]
    ).build(0)
    requests = workload.tables["requests"]
    odd = requests["adapter_id"].to_numpy() % 2 == 1
    inputs, outputs = (requests[name].to_numpy() for name in ("input_tokens", "output_tokens"))
    assert (set(inputs[~odd]), set(outputs[~odd])) == ({100}, {50})
    assert (set(inputs[odd]), set(outputs[odd])) == ({900}, {7})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"popularity": {"kind": "zipf"}}, "workload.popularity.mean_rps: expected a number"),
        (
            {"popularity": {**ZIPF, "spread": 0.1}},
            "workload.popularity.spread: has no effect with kind 'zipf'",
        ),
        ({"popularity": ZIPF, "rates_rps": [0.1]}, "workload.rates_rps: has no effect"),
        ({"popularity": {"kind": "uniform", "mean_rps": 1, "spread": 1.0}}, "workload.popularity.spread"),
        ({"rates_rps": [0.1], "activity": {"on_s": 3.0}}, "workload.activity.on_s: has no effect"),
        ({"rates_rps": [0.1], "bursts": {"factor": 3.0}}, "workload.bursts.factor: has no effect"),
        (
            {"rates_rps": [0.1], "bursts": {"every_s": 3.0, "length_s": 4.0, "factor": 2.0}},
            "workload.bursts.length_s: must be below every_s",
        ),
        (
            {"rates_rps": [0.1], "activity": {"on_s": 1e-5, "off_s": 1e-5}},
            "workload.activity.on_s: too short",
        ),
        ({"rates_rps": [0.0]}, "workload.rates_rps"),
        (
            {"rates_rps": [0.1], "adapter_lengths": [{"inputs": 3}]},
            "workload.adapter_lengths[0].inputs: unknown key",
        ),
        (
            {
                "arrivals": {"kind": "burst"},
                "num_requests": 5,
                "duration_s": None,
                "drain": True,
                "popularity": ZIPF,
            },
            "workload.popularity.kind: has no effect on 'burst' arrivals",
        ),
    ],
)
def test_a_bad_or_useless_key_is_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        AdapterMixWorkload(**{**BASE, "n_adapters": 5, **keys}).build(0)
    assert message in str(error.value)
