"""Lengths keep their mean, arrivals their number, and the same seed gives the same requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_twin.kernel.inputs import Requests
from framework_twin.measured.gamma_lengths import (
    LONGEST_PROMPT,
    LONGEST_REQUEST,
    LengthMoments,
    sharegpt_lengths,
)
from framework_twin.measured.measured_runs import RunSetup
from framework_twin.measured.realise import realise
from framework_twin.translation import kernel_requests


def realised(setup: RunSetup, seed: int) -> Requests:
    """The realised workload as the kernel's arrays."""
    return kernel_requests(realise(setup, seed))


@settings(max_examples=25, deadline=None)
@given(
    input_mean=st.floats(60, 300),
    output_mean=st.floats(60, 350),
    spread=st.floats(0.3, 1.2),
    correlation=st.sampled_from([0.0, -0.4]),
    seed=st.integers(0, 99),
)
def test_sampled_means_are_exact_and_truncation_is_kept(
    input_mean: float, output_mean: float, spread: float, correlation: float, seed: int
) -> None:
    moments = LengthMoments(input_mean, spread * input_mean, output_mean, spread * output_mean, correlation)
    inputs, outputs = sharegpt_lengths(moments, 1000, np.random.default_rng(seed))
    assert inputs.mean() == pytest.approx(input_mean, abs=0.01)
    assert outputs.mean() == pytest.approx(output_mean, rel=0.003)
    assert inputs.min() >= 1
    assert outputs.min() >= 1
    assert inputs.max() <= LONGEST_PROMPT
    assert (inputs + outputs).max() <= LONGEST_REQUEST


def test_standard_deviation_above_the_mean_survives_truncation() -> None:
    moments = LengthMoments(222.6, 246.5, 198.6, 206.0)
    inputs, outputs = sharegpt_lengths(moments, 20_000, np.random.default_rng(0))
    assert inputs.std() == pytest.approx(246.5, rel=0.02)
    assert outputs.std() == pytest.approx(206.0, rel=0.02)


def test_poisson_load_has_its_expected_number_of_requests_in_order(poisson_setup: RunSetup) -> None:
    requests = realised(poisson_setup, 3)
    assert len(requests) == round(poisson_setup.offered_rps * 300)
    assert np.all(np.diff(requests.arrival_s) >= 0)
    assert requests.arrival_s[0] >= 0
    assert requests.arrival_s[-1] < 300


def test_adapters_share_the_load_by_their_rates(poisson_setup: RunSetup) -> None:
    requests = realised(replace(poisson_setup, duration_limit_s=30_000.0), 0)
    counts = np.bincount(requests.adapter, minlength=16)
    shares = np.array(poisson_setup.adapter_rates_rps) / poisson_setup.offered_rps
    assert counts / counts.sum() == pytest.approx(shares, abs=0.005)


def test_same_seed_gives_the_same_requests_and_another_seed_others(poisson_setup: RunSetup) -> None:
    first, again, other = (realised(poisson_setup, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.arrival_s, again.arrival_s)
    assert np.array_equal(first.output_tokens, again.output_tokens)
    assert not np.array_equal(first.arrival_s, other.arrival_s)


def test_burst_of_equal_prompts_is_exact(burst_setup: RunSetup) -> None:
    requests = realised(burst_setup, 0)
    assert set(requests.arrival_s) == {0.0}
    assert set(requests.input_tokens) == {242}
    assert set(requests.output_tokens) == {130}
