"""Plans on a law of capacity that is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import UserError
from framework_serving.advice.capacity.adapter_sums import Adapters
from framework_serving.advice.fleet.fleet_bound import lower_bound
from framework_serving.advice.fleet.fleet_plan import FleetPlan, exact_plan, plan_fleet
from framework_serving.advice.fleet.replanning import replan
from tests.framework_serving.advice.fleet.known_fleet import KIND, PACKER, adapters, drawn

Planner = Callable[..., FleetPlan]


def assert_valid(plan: FleetPlan, population: Adapters) -> None:
    placed = np.sort(np.concatenate([gpu.adapters for gpu in plan.gpus]))
    assert placed.tolist() == list(range(len(population)))
    for gpu in plan.gpus:
        assert gpu.load <= 1 + 1e-9
        assert 1 <= gpu.slots <= len(gpu.adapters)
        assert PACKER.fits(gpu.kind, population.some(gpu.adapters))[1] <= 1 + 1e-9


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 400), st.sampled_from([0.02, 0.2, 1.0]))
def test_every_adapter_is_on_one_gpu_that_it_fits_within_one_of_the_bound(
    seed: int, n: int, mean: float
) -> None:
    population = drawn(seed, n, mean)
    plan = plan_fleet(PACKER, [KIND], population)
    assert_valid(plan, population)
    bound = lower_bound(PACKER, [KIND], population)
    # each GPU is filled up to one adapter: one GPU in twenty, and the last
    assert math.ceil(bound - 1e-6) <= plan.cost <= math.ceil(bound) * 1.1 + 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_the_exact_plan_is_never_worse_than_the_greedy_and_never_below_the_bound(seed: int, n: int) -> None:
    population = drawn(seed, n, 5.0)
    exact = exact_plan(PACKER, [KIND], population)
    assert_valid(exact, population)
    assert exact.cost <= plan_fleet(PACKER, [KIND], population).cost
    assert lower_bound(PACKER, [KIND], population) <= exact.cost + 1e-6


def test_the_cheaper_type_is_taken() -> None:
    costly = replace(KIND, name="costly", cost=3.0)
    population = drawn(1, 100, 0.5)
    assert {gpu.kind.name for gpu in plan_fleet(PACKER, [costly, KIND], population).gpus} == {"gpu"}


def test_types_of_which_there_are_few_run_out() -> None:
    population = drawn(1, 100, 0.5)
    few = replace(KIND, available=1)
    with pytest.raises(UserError, match="too few GPUs"):
        plan_fleet(PACKER, [few], population)
    other = replace(KIND, name="other", cost=2.0)
    names = [gpu.kind.name for gpu in plan_fleet(PACKER, [few, other], population).gpus]
    assert names.count("gpu") == 1
    assert "other" in names


@pytest.mark.parametrize("planner", [plan_fleet, exact_plan])
def test_adapters_without_requests_have_a_home_and_one_alone_has_one_slot(planner: Planner) -> None:
    (gpu,) = planner(PACKER, [KIND], adapters([0.0, 0.0, 0.0], [8, 8, 32])).gpus
    assert (gpu.adapters.tolist(), gpu.slots, gpu.load) == ([0, 1, 2], 3, 0.0)
    (gpu,) = planner(PACKER, [KIND], adapters([0.0, 0.1], [8, 8])).gpus
    assert (gpu.adapters.tolist(), gpu.slots) == ([0, 1], 1)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 200), st.floats(0.1, 0.9))
def test_adapters_that_fall_silent_stay_and_cost_no_gpu(seed: int, n: int, share: float) -> None:
    population = drawn(seed, n, 0.3)
    silent = np.random.default_rng(seed).random(n) < share
    changed = replace(population, rate_rps=np.where(silent, 0.0, population.rate_rps))
    busy = changed.some(~silent)
    present = plan_fleet(PACKER, [KIND], population).gpus
    home = {int(item): place for place, gpu in enumerate(present) for item in gpu.adapters}
    fresh, again = plan_fleet(PACKER, [KIND], changed), replan(PACKER, [KIND], changed, present)
    for plan in (fresh, again.plan):
        assert_valid(plan, changed)
    if len(busy):
        assert len(fresh.gpus) <= len(plan_fleet(PACKER, [KIND], busy).gpus) + 1
    moved = {move.adapter for move in again.moves}
    stay = set(range(n)) - moved
    for item in moved & set(np.flatnonzero(silent).tolist()):
        # its GPU is given up, or has smaller slots now
        ranks = [population.rank[other] for other in stay if home[other] == home[item] and not silent[other]]
        assert max(ranks, default=0) < population.rank[item]


def test_a_silent_adapter_goes_where_the_slots_are_large_enough_already() -> None:
    population = adapters([0.4] * 200 + [0.0], [32] * 20 + [8] * 180 + [32])
    plan = plan_fleet(PACKER, [KIND], population)
    (home,) = [gpu for gpu in plan.gpus if 200 in gpu.adapters]
    assert len(plan.gpus) == len(plan_fleet(PACKER, [KIND], population.some(population.rate_rps > 0)).gpus)
    assert population.rank[home.adapters[:-1]].max() == 32


def test_a_silent_adapter_of_a_rank_that_no_engine_starts_with_is_named() -> None:
    with pytest.raises(UserError, match="adapter 1: its rank 128 is above"):
        plan_fleet(PACKER, [KIND], adapters([0.1, 0.0], [8, 128]))


def test_a_new_plan_has_no_more_gpus_of_a_type_than_there_are() -> None:
    population = drawn(4, 200, 0.4)
    plan = plan_fleet(PACKER, [KIND], population)
    few = replace(KIND, available=len(plan.gpus))
    double = replace(population, rate_rps=population.rate_rps * 2)
    with pytest.raises(UserError, match="too few GPUs"):
        replan(PACKER, [few], double, plan.gpus)
    other = replace(KIND, name="other", cost=2.0)
    names = [gpu.kind.name for gpu in replan(PACKER, [few, other], double, plan.gpus).plan.gpus]
    assert (names.count("gpu"), names.count("other") > 0) == (len(plan.gpus), True)


@pytest.mark.parametrize(
    ("rates", "ranks", "said"),
    [
        ([0.1, 300.0], [8, 8], "adapter 1: 300 requests/s are"),
        ([0.1, 0.1], [8, 128], "adapter 1: its rank 128 is above"),
    ],
)
def test_an_adapter_that_fits_nowhere_is_named_with_the_reason(
    rates: list[float], ranks: list[int], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        plan_fleet(PACKER, [KIND], adapters(rates, ranks))


def test_one_large_rank_is_not_spread_over_all_gpus() -> None:
    population = adapters([0.4] * 200, [32] * 20 + [8] * 180)
    plan = plan_fleet(PACKER, [KIND], population)
    large = [gpu for gpu in plan.gpus if population.rank[gpu.adapters].max() == 32]
    assert len(large) < len(plan.gpus)


def test_unchanged_rates_move_nothing() -> None:
    population = drawn(3, 300, 0.4)
    plan = plan_fleet(PACKER, [KIND], population)
    again = replan(PACKER, [KIND], population, plan.gpus)
    assert (again.moves, again.opened, again.closed, again.overloaded) == ((), 0, 0, ())


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.5))
def test_drift_moves_few_adapters_and_leaves_no_gpu_overloaded(seed: int, drift: float) -> None:
    population = drawn(seed, 250, 0.4)
    plan = plan_fleet(PACKER, [KIND], population)
    rng = np.random.default_rng(seed)
    rates = np.minimum(population.rate_rps * np.exp(rng.normal(0, drift, 250)), 8.0)
    changed = replace(population, rate_rps=rates)
    again = replan(PACKER, [KIND], changed, plan.gpus)
    assert_valid(again.plan, changed)
    smallest = min(len(gpu.adapters) for gpu in plan.gpus)
    assert len(again.moves) <= 0.35 * 250 + smallest
    fresh = plan_fleet(PACKER, [KIND], changed)
    assert len(again.plan.gpus) <= len(fresh.gpus) + 2


def test_a_load_that_halves_gives_gpus_up_and_one_that_doubles_opens_some() -> None:
    population = drawn(4, 200, 0.4)
    plan = plan_fleet(PACKER, [KIND], population)
    half = replan(PACKER, [KIND], replace(population, rate_rps=population.rate_rps / 3), plan.gpus)
    assert half.closed > 0
    double = replan(PACKER, [KIND], replace(population, rate_rps=population.rate_rps * 2), plan.gpus)
    assert double.opened > 0
    assert len(double.overloaded) >= len(plan.gpus) - 1
