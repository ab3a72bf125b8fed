"""Drawing a measured run's requests: quick ways that give what the plain ones give, to the last token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_serving.workloads.length_law import LengthLaw, moment_law
from framework_twin.measured.measured_runs import UNKNOWN, RunSetup
from framework_twin.measured.realise import _argsort, drawn_places, length_laws, load_of, realise

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), SEEDS)
def test_places_are_those_that_numpys_choice_draws(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(n) * (rng.random(n) < 0.8)
    weights[-1] += 0.1
    shares = weights / weights.sum()
    plain = np.random.default_rng(seed).choice(n, size=2_000, p=shares)
    assert (drawn_places(shares, np.random.default_rng(seed).random(2_000)) == plain).all()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), SEEDS)
def test_scores_are_put_in_order_also_where_they_nearly_agree(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal(n)
    near = rng.random(n) < 0.05
    scores[near] = 1.0 + 1e-13 * rng.standard_normal(near.sum())
    assert (scores[_argsort(scores)] == np.sort(scores)).all()
    assert sorted(_argsort(scores)) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), SEEDS)
def test_a_law_gives_each_slice_the_count_that_its_cumulative_probability_says(n: int, seed: int) -> None:
    law = [moment_law("gamma", 50, 60, 4, 300, "x"), LengthLaw(3, np.array([0, 0.3, 0, 0, 0.7, 0.0]))][n % 2]
    slices = (np.arange(n) + np.random.default_rng(seed).random(n)) / n
    plain = np.minimum(
        law.low + np.searchsorted(np.cumsum(law.probabilities), slices, side="right"), law.high
    )
    drawn = np.sort(law.sample(n, np.random.default_rng(seed)))
    settled = abs(int(plain.sum()) - round(n * law.mean))  # the sum is made exact, one token a request
    assert np.abs(np.sort(plain) - drawn).sum() <= max(settled, 1)


def test_requests_are_the_same_whatever_the_server(poisson_setup: RunSetup, burst_setup: RunSetup) -> None:
    for setup in (poisson_setup, burst_setup):
        drawn = realise(setup, 3)
        assert realise(load_of(setup), 3).tables == drawn.tables
        assert realise(load_of(setup), 3).facts == drawn.facts
    assert load_of(poisson_setup) != load_of(burst_setup)


def test_short_prompts_of_an_unknown_spread_have_a_law(burst_setup: RunSetup) -> None:
    """Prompts can't spread as long ones do where their mean is near the shortest there is."""
    for mean in (1.0, 2.5, 5.0, 12.0, 100.0):
        setup = replace(burst_setup, source="store", input_mean=mean, input_std=UNKNOWN)
        inputs, _ = length_laws(setup)
        assert inputs.mean == pytest.approx(mean)
