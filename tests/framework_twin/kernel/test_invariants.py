"""Invariants of the kernel; docs/twin_kernel.md lists them by id."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.output import SimulationOutput, Status
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector
from tests.framework_twin.kernel.reference_engine import run_naively
from tests.framework_twin.kernel.test_against_reference import (
    LAW,
    conversations,
    engines,
    fits,
    random_requests,
)

SEEDS = st.integers(0, 2**32 - 1)
ROOMY = EngineConfig(kv_blocks=10_000, max_num_seqs=64, max_num_batched_tokens=512)


def run(engine: EngineConfig, seed: int, n: int = 40, spread_s: float = 1.0) -> SimulationOutput:
    return simulate(engine, random_requests(np.random.default_rng(seed), n, spread_s, 0), LAW)


def equal_requests(n: int, prompt: int, output: int, period_s: float = 0.0) -> Requests:
    return Requests(
        arrival_s=np.arange(n) * period_s,
        input_tokens=np.full(n, prompt, dtype=np.int32),
        output_tokens=np.full(n, output, dtype=np.int32),
    )


def fingerprint(output: SimulationOutput) -> bytes:
    """Bytes of everything a run returns about requests, gaps and time."""
    arrays = [getattr(output.requests, field.name) for field in fields(output.requests)]
    arrays += [output.token_gaps.counts, np.array(list(output.component_s.values()))]
    return b"".join(array.tobytes() for array in arrays) + repr(output.duration_s).encode()


@settings(max_examples=100, deadline=None)
@given(engines(), SEEDS)
def test_every_request_that_arrives_is_finished_running_waiting_or_refused(
    engine: EngineConfig, seed: int
) -> None:
    """INV-01, INV-02, INV-03, INV-10 on one run."""
    requests = random_requests(np.random.default_rng(seed), 40, 1.0, 0)
    assume(fits(engine, requests))
    output = simulate(engine, requests, LAW)
    outcome = output.requests
    horizon_s = math.inf if engine.horizon_s is None else engine.horizon_s
    arrived = requests.arrival_s < horizon_s
    counts = {status: outcome.count(status) for status in Status}
    assert counts[Status.NOT_ARRIVED] == np.count_nonzero(~arrived)
    assert sum(counts.values()) == len(requests)
    if engine.horizon_s is None:
        assert counts[Status.RUNNING] == counts[Status.WAITING] == 0
    finished = output.finished
    np.testing.assert_array_equal(outcome.generated_tokens[finished], requests.output_tokens[finished])
    assert (outcome.generated_tokens[~finished] < requests.output_tokens[~finished]).all()
    assert output.generated_tokens == outcome.generated_tokens.sum()
    assert output.kv_blocks_peak <= engine.kv_blocks
    assert sum(output.component_s.values()) == pytest.approx(engine.replicas * output.duration_s)
    assert (outcome.scheduled_s[finished] >= requests.arrival_s[finished]).all()
    assert (outcome.first_token_s[finished] > outcome.scheduled_s[finished]).all()
    assert (outcome.last_token_s[finished] >= outcome.first_token_s[finished]).all()


@settings(max_examples=40, deadline=None)
@given(engines(), SEEDS)
def test_same_input_gives_the_same_bytes(engine: EngineConfig, seed: int) -> None:
    """INV-04."""
    requests = random_requests(np.random.default_rng(seed), 40, 1.0, 0)
    assume(fits(engine, requests))
    assert fingerprint(simulate(engine, requests, LAW)) == fingerprint(simulate(engine, requests, LAW))


@settings(max_examples=60, deadline=None)
@given(engines(), SEEDS)
def test_features_that_are_not_used_change_nothing(engine: EngineConfig, seed: int) -> None:
    """INV-05: slots without adapter requests, caching without names, sampling, a router for one replica."""
    requests = random_requests(np.random.default_rng(seed), 40, 1.0, 0)
    assume(fits(engine, requests))
    plain = fingerprint(simulate(engine, requests, LAW))
    adapters = AdapterTable(rank=np.full(3, 8, dtype=np.int32), cpu_to_gpu_s=np.full(3, 0.01))
    with_slots = replace(engine, max_loras=2, max_lora_rank=8)
    assert fingerprint(simulate(with_slots, requests, LAW, adapters)) == plain
    sampled = replace(engine, sample_period_s=0.05)
    assert fingerprint(simulate(sampled, requests, LAW)) == plain
    if engine.generation == "v1":
        assert fingerprint(simulate(replace(engine, enable_prefix_caching=True), requests, LAW)) == plain
    if engine.replicas == 1:
        other = "least_load" if engine.router == "round_robin" else "round_robin"
        assert fingerprint(simulate(replace(engine, router=other), requests, LAW)) == plain


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_prefix_caching_of_prompts_that_share_nothing_changes_nothing(seed: int) -> None:
    """INV-05, with names given but all different."""
    requests = random_requests(np.random.default_rng(seed), 40, 1.0, 0)
    blocks = requests.input_tokens // 16
    named = replace(
        requests,
        prefix_blocks=np.arange(blocks.sum()),
        prefix_start=np.r_[0, np.cumsum(blocks)].astype(np.int64),
    )
    # all eight running requests fit, so that none is preempted and finds its own blocks again; all 40 do not
    engine = replace(ROOMY, kv_blocks=64, max_num_seqs=8, max_num_batched_tokens=64)
    cached = simulate(replace(engine, enable_prefix_caching=True), named, LAW)
    assert cached.preemptions == 0
    assert fingerprint(cached) == fingerprint(simulate(engine, requests, LAW))
    assert cached.prefix_hit_tokens == 0


@settings(max_examples=60, deadline=None)
@given(engines(), SEEDS, st.floats(0.05, 1.0))
def test_what_happens_before_the_horizon_does_not_depend_on_it(
    engine: EngineConfig, seed: int, horizon_s: float
) -> None:
    """INV-06: causality."""
    requests = random_requests(np.random.default_rng(seed), 40, 1.0, 0)
    assume(fits(engine, requests))
    whole = simulate(replace(engine, horizon_s=None), requests, LAW).requests
    cut = simulate(replace(engine, horizon_s=horizon_s), requests, LAW).requests
    for name in ("first_token_s", "last_token_s"):
        there = getattr(whole, name) <= horizon_s
        if name == "last_token_s":
            there &= cut.status == Status.FINISHED
        np.testing.assert_allclose(getattr(cut, name)[there], getattr(whole, name)[there], rtol=1e-12)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(0, 500))
def test_more_memory_changes_nothing_once_nothing_waits_for_it(seed: int, more: int) -> None:
    """INV-07, exact part."""
    enough = run(ROOMY, seed)
    peak = enough.kv_blocks_peak
    assert fingerprint(run(replace(ROOMY, kv_blocks=peak + 64 + more), seed)) == fingerprint(enough)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 16), st.integers(5, 60), st.integers(0, 60))
def test_more_memory_never_lowers_throughput_without_preemption(
    n: int, prompt: int, output: int, blocks: int, more: int
) -> None:
    """INV-07, mixed steps, a law in which batching never hurts (a constant and parts proportional to tokens).

    Prefill-first scheduling does have anomalies: a larger cache can start a prompt at a worse moment.
    """
    law = parameter_vector(host_s=0.005, compute_per_token_s=0.0002, per_context_token_s=1e-6)
    requests = equal_requests(n, prompt, output)
    engine = replace(ROOMY, kv_blocks=blocks, max_num_seqs=64)
    assume(fits(engine, requests))
    small = simulate(engine, requests, law)
    large = simulate(replace(engine, kv_blocks=blocks + more), requests, law)
    assume(small.preemptions == large.preemptions == 0)
    assert large.duration_s <= small.duration_s * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 8))
def test_more_slots_never_raise_loads(seed: int, slots: int) -> None:
    """INV-08, for one request at a time: an LRU of s + 1 slots holds what one of s slots holds."""
    rng = np.random.default_rng(seed)
    requests = random_requests(rng, 60, 1.0, 8)
    adapters = AdapterTable(rank=np.full(8, 8, dtype=np.int32), cpu_to_gpu_s=np.full(8, 0.01))
    engine = replace(ROOMY, max_num_seqs=1, max_lora_rank=8)
    fewer = simulate(replace(engine, max_loras=slots), requests, LAW, adapters)
    more = simulate(replace(engine, max_loras=slots + 1), requests, LAW, adapters)
    used = len(set(requests.adapter.tolist()) - {-1})
    assert used <= more.adapter_loads <= fewer.adapter_loads
    if slots + 1 >= 8:
        assert more.adapter_loads == used
    assert more.adapter_loads_by_adapter.sum() == more.adapter_loads


@pytest.mark.parametrize(
    ("prompt", "output", "steady", "peak"), [(242, 130, 178.9, 212.8), (242, 390, 315.9, 409.8)]
)
def test_chunked_prefill_holds_the_token_balance(
    prompt: int, output: int, steady: float, peak: float
) -> None:
    """INV-09: R* = C·o/(i+o), first-cohort peak C·(1 − e^(−o/i)) with C = 512 (science note memory_gap.md §2)."""
    engine = EngineConfig(
        generation="v0",
        chunked_prefill=True,
        kv_blocks=100_000,
        max_num_seqs=512,
        max_num_batched_tokens=512,
        sample_period_s=1.0,
    )
    # Steps of equal length, so that a mean over time is a mean over steps.
    output_ = simulate(engine, equal_requests(4000, prompt, output), parameter_vector(host_s=0.02))
    assert output_.series is not None
    decoding = output_.series.running[len(output_.series.running) // 3 : -30]
    assert decoding.mean() == pytest.approx(steady, rel=0.02)
    assert output_.running_peak == pytest.approx(peak, rel=0.02)


def test_lock_step_decoding_matches_the_closed_form() -> None:
    """INV-11: B equal prompts at once, prefilled together, then o − 1 steps whose context grows by B a step."""
    batch, prompt, output = 32, 161, 338
    engine = EngineConfig(
        generation="v0",
        chunked_prefill=False,
        kv_blocks=10_000,
        max_num_batched_tokens=8192,
        max_model_len=8192,
    )
    law = parameter_vector(host_s=0.004, per_context_token_s=1e-7)
    result = simulate(engine, equal_requests(batch, prompt, output), law)
    steps = output - 1
    context = batch * (steps * (prompt + 1) + steps * (steps - 1) / 2)
    assert result.duration_s == pytest.approx(0.004 * (1 + steps) + 1e-7 * context, rel=1e-12)
    assert result.steps == output
    assert result.kv_blocks_peak == batch * math.ceil((prompt + output - 1) / 16)


def test_cost_does_not_grow_with_output_length() -> None:
    """INV-12: the number of spans, each of constant cost, follows requests and not tokens."""
    roomy = replace(ROOMY, kv_blocks=300_000)
    spans = {
        output: simulate(roomy, equal_requests(64, 100, output), LAW).spans
        for output in (50, 500, 5000, 50_000)
    }
    assert len(set(spans.values())) == 1


@settings(max_examples=40, deadline=None)
@given(engines(), SEEDS)
def test_gap_percentiles_are_within_half_a_percent(engine: EngineConfig, seed: int) -> None:
    """INV-13, against all gaps of the naive engine."""
    requests = random_requests(np.random.default_rng(seed), 30, 1.0, 0)
    assume(fits(engine, requests))
    gaps = np.array([gap for request in run_naively(engine, requests, LAW)[0] for gap in request.gaps])
    histogram = simulate(engine, requests, LAW).token_gaps
    if len(gaps) == 0:
        assert math.isnan(histogram.mean_s)
        assert math.isnan(histogram.percentile_s(50))
        return
    for percent in (1, 50, 90, 99):
        exact = np.percentile(gaps, percent, method="inverted_cdf")
        assert histogram.percentile_s(percent) == pytest.approx(exact, rel=0.005)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([1, 3]), st.sampled_from([None, 0.8]))
def test_time_series_agrees_with_the_requests(seed: int, replicas: int, horizon_s: float | None) -> None:
    """INV-14: running at a sample's time, and sums that end where the totals are."""
    engine = replace(ROOMY, replicas=replicas, horizon_s=horizon_s, sample_period_s=0.0137)
    output = run(engine, seed)
    series, outcome = output.series, output.requests
    assert series is not None
    ended_s = np.where(output.finished, outcome.last_token_s, math.inf)
    running = [(outcome.scheduled_s <= t) & (t < ended_s) for t in series.time_s]
    np.testing.assert_allclose(series.running, np.sum(running, axis=1))
    busy_and_idle_s = sum(series.component_s.values())
    np.testing.assert_allclose(busy_and_idle_s, replicas * series.time_s, atol=1e-9)
    assert series.generated_tokens[-1] <= output.generated_tokens
    assert (np.diff(series.generated_tokens) >= -1e-9).all()
    assert series.time_s[-1] <= output.duration_s < series.time_s[-1] + 0.0137 + 1e-9


def test_time_series_of_a_run_longer_than_expected_is_complete() -> None:
    engine = replace(ROOMY, sample_period_s=0.001)
    output = simulate(engine, equal_requests(100, 50, 200, period_s=0.5), LAW)
    assert output.series is not None
    assert len(output.series.time_s) == math.floor(output.duration_s / 0.001) + 1 > 40_000
    assert output.series.generated_tokens[-1] == pytest.approx(output.generated_tokens, rel=1e-3)


def test_preempted_request_restarts_with_its_generated_tokens() -> None:
    """INV-15: two requests that outgrow the cache; the newer one is recomputed, and keeps what it generated."""
    engine = replace(ROOMY, kv_blocks=8)
    output = simulate(engine, equal_requests(2, 30, 60), LAW)
    assert output.requests.preemptions.tolist() == [0, 1]
    assert output.requests.generated_tokens.tolist() == [60, 60]
    assert output.prompt_tokens > 2 * 30
    assert output.token_gaps.count == 2 * 59
    assert output.kv_blocks_peak == 8


def test_a_prompt_seen_before_is_not_computed_again_but_for_its_last_token_block() -> None:
    """INV-16: 64 tokens in four named blocks: three are found, the last is computed for the next token."""
    requests = replace(
        equal_requests(2, 64, 4, period_s=5.0),
        prefix_blocks=np.array([1, 2, 3, 4, 1, 2, 3, 4]),
        prefix_start=np.array([0, 4, 8]),
    )
    output = simulate(replace(ROOMY, enable_prefix_caching=True), requests, LAW)
    assert output.requests.prefix_hit_tokens.tolist() == [0, 48]
    assert output.prompt_tokens == 64 + 16


def test_conversations_hit_their_own_history() -> None:
    rng = np.random.default_rng(7)
    requests = conversations(rng, random_requests(rng, 200, 20.0, 0), 16)
    on = simulate(replace(ROOMY, enable_prefix_caching=True), requests, LAW)
    off = simulate(ROOMY, requests, LAW)
    assert on.prefix_hit_tokens > 0
    assert on.prompt_tokens == off.prompt_tokens - on.prefix_hit_tokens


def test_least_load_spreads_unequal_work_better_than_round_robin() -> None:
    n = 200
    output_tokens = np.where(np.arange(n) % 2, 5, 400).astype(np.int32)
    requests = replace(equal_requests(n, 50, 5, period_s=0.05), output_tokens=output_tokens)
    engine = replace(ROOMY, max_num_seqs=8, replicas=2)
    turns = simulate(engine, requests, LAW)
    load = simulate(replace(engine, router="least_load"), requests, LAW)
    assert load.duration_s < turns.duration_s
    assert set(load.requests.replica.tolist()) == {0, 1}


def test_a_rank_waits_for_the_prompts_of_the_others_unless_it_computes_its_own() -> None:
    """Others have as many prompts as it has: waited for in steps without prompts, free of charge in those with."""
    law = parameter_vector(host_s=0.01, compute_per_token_s=1e-4)
    one = equal_requests(1, 100, 10)
    for ranks in (1, 3):
        output = simulate(replace(ROOMY, ranks=ranks), one, law)
        assert output.requests.first_token_s[0] == pytest.approx(0.02)  # 10 ms and 100 tokens
        assert output.duration_s == pytest.approx(0.02 + 9 * 0.0101 + (ranks - 1) * 0.02)
    alone, three = (
        simulate(replace(ROOMY, ranks=ranks), equal_requests(60, 500, 2), law) for ranks in (1, 3)
    )
    prompt_step_s = 0.01 + 512 * 1e-4
    assert three.requests.first_token_s == pytest.approx(alone.requests.first_token_s)
    assert alone.duration_s < three.duration_s < alone.duration_s + 2.1 * prompt_step_s
