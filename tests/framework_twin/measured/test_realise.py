"""Lengths keep their mean, arrivals their number, and the same seed gives the same requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_twin.kernel.inputs import Requests
from framework_twin.measured.measured_runs import RunSetup
from framework_twin.measured.realise import realise
from framework_twin.translation import kernel_requests


def realised(setup: RunSetup, seed: int) -> Requests:
    """The realised workload as the kernel's arrays."""
    return kernel_requests(realise(setup, seed))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    input_mean=st.floats(60, 300),
    output_mean=st.floats(60, 350),
    spread=st.floats(0.3, 1.0),
    source=st.sampled_from(["adapters", "memory_gap"]),
    seed=st.integers(0, 99),
)
@example(input_mean=149.0, output_mean=319.0, spread=1.0, source="memory_gap", seed=23)
def test_sampled_means_are_exact_and_truncation_is_kept(
    burst_setup: RunSetup, input_mean: float, output_mean: float, spread: float, source: str, seed: int
) -> None:
    lengths = {"input_mean": input_mean, "input_std": spread * input_mean}
    lengths |= {"output_mean": output_mean, "output_std": spread * output_mean}
    setup = replace(burst_setup, length_distribution="sharegpt", source=source, num_prompts=1000, **lengths)
    requests = realised(setup, seed)
    assert requests.input_tokens.mean() == pytest.approx(input_mean, abs=1e-3)
    assert requests.output_tokens.mean() == pytest.approx(output_mean, abs=1e-3)
    assert requests.input_tokens.min() >= 4
    assert requests.output_tokens.min() >= 1
    assert requests.input_tokens.max() <= 1024
    assert (requests.input_tokens + requests.output_tokens).max() <= 2048


def test_long_prompts_of_two_turns_get_short_answers(poisson_setup: RunSetup) -> None:
    setup = replace(poisson_setup, duration_limit_s=10_000.0)
    requests = realised(setup, 0)
    assert requests.input_tokens.std() == pytest.approx(246.5, rel=0.02)
    assert requests.output_tokens.std() == pytest.approx(206.0, rel=0.02)
    ranks = [column.argsort().argsort() for column in (requests.input_tokens, requests.output_tokens)]
    assert -0.4 < np.corrcoef(*ranks)[0, 1] < -0.25
    one_turn = realised(replace(setup, source="memory_gap"), 0)
    assert abs(np.corrcoef(one_turn.input_tokens, one_turn.output_tokens)[0, 1]) < 0.05


def test_a_spread_that_no_cut_request_has_is_one_clear_line(poisson_setup: RunSetup) -> None:
    with pytest.raises(ConfigError, match="input_tokens_std: 900 is impossible"):
        realise(replace(poisson_setup, input_std=900.0), 0)


@pytest.mark.parametrize("mean", [20.0, 110.0, 242.0, 600.0, 800.0])
def test_a_spread_that_the_table_leaves_open_never_stops_a_prediction(
    burst_setup: RunSetup, mean: float
) -> None:
    setup = replace(burst_setup, length_distribution="sharegpt", input_mean=mean, output_mean=mean)
    requests = realised(setup, 0)
    assert requests.input_tokens.mean() == pytest.approx(mean, abs=0.01)
    assert requests.output_tokens.mean() == pytest.approx(mean, abs=0.01)


def test_requests_of_other_tables_are_as_long_as_these_say(burst_setup: RunSetup) -> None:
    own = {"source": "", "input_mean": 3000.0, "input_std": 2000.0, "output_mean": 319.0, "output_std": 359.0}
    requests = realised(replace(burst_setup, length_distribution="sharegpt", **own), 0)
    assert requests.input_tokens.mean() == pytest.approx(3000, abs=0.01)
    assert requests.output_tokens.std() == pytest.approx(359, rel=0.05)


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
