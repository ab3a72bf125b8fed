"""Differential tests: the event-driven kernel against a naive token-by-token engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.output import SimulationOutput, Status
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector
from tests.framework_twin.kernel.reference_engine import NaiveEngine, NaiveRequest, run_naively

STATUS = {
    "waiting": Status.WAITING,
    "running": Status.RUNNING,
    "finished": Status.FINISHED,
    "refused": Status.REFUSED,
}
LAW = parameter_vector(
    host_s=0.004,
    host_per_seq_s=0.0003,
    weights_s=0.003,
    compute_per_token_s=0.0002,
    per_context_token_s=0.00007,
    prefill_per_attention_s=0.000003,
    lora_s=0.0011,
    lora_per_adapter_s=0.0013,
    scheduler_per_waiting_s=0.0001,
)


def random_requests(rng: np.random.Generator, n: int, spread_s: float, n_adapters: int) -> Requests:
    longest = int(rng.integers(2, 60))
    return Requests(
        arrival_s=np.sort(rng.random(n) * spread_s) if spread_s else np.zeros(n),
        input_tokens=rng.integers(1, longest + 1, n).astype(np.int32),
        output_tokens=rng.integers(1, int(rng.integers(2, 60)) + 1, n).astype(np.int32),
        adapter=rng.integers(-1, n_adapters, n).astype(np.int32) if n_adapters else None,
    )


def fits(engine: EngineConfig, requests: Requests) -> bool:
    """Return whether the engine can serve one of the requests; a study in which it can serve none is refused."""
    return int((requests.input_tokens + requests.output_tokens).min()) <= engine.longest_request


def assert_same(output: SimulationOutput, everyone: list[NaiveRequest], replicas: list[NaiveEngine]) -> None:
    arrived = output.requests.status != Status.NOT_ARRIVED
    for column in ("scheduled_s", "first_token_s", "last_token_s"):
        expected = np.array([getattr(request, column) for request in everyone])
        actual = getattr(output.requests, column)
        np.testing.assert_allclose(actual[arrived], expected[arrived], rtol=1e-9, atol=1e-12, err_msg=column)
    assert output.requests.status[arrived].tolist() == [
        STATUS[r.status] for r, seen in zip(everyone, arrived, strict=True) if seen
    ]
    assert output.requests.generated_tokens.tolist() == [r.generated for r in everyone]
    assert output.requests.preemptions.tolist() == [r.preemptions for r in everyone]
    gaps = [gap for request in everyone for gap in request.gaps]
    assert output.token_gaps.count == len(gaps) == output.token_gaps.counts.sum()
    assert output.token_gaps.sum_s == pytest.approx(sum(gaps), rel=1e-9, abs=1e-12)
    assert output.steps == sum(replica.steps for replica in replicas)
    assert output.preemptions == sum(replica.preemptions for replica in replicas)
    assert output.adapter_loads == sum(replica.loads for replica in replicas)
    assert output.adapter_disk_loads == sum(replica.disk_loads for replica in replicas)
    assert output.requests.prefix_hit_tokens.tolist() == [r.hit_tokens for r in everyone]
    assert output.prefix_hit_tokens == sum(replica.hits for replica in replicas)
    assert output.kv_blocks_peak == max(replica.peak_blocks for replica in replicas)


@st.composite
def engines(draw: st.DrawFn, lora: bool = False, generations: Sequence[str] = ("v0", "v1")) -> EngineConfig:
    generation = draw(st.sampled_from(generations))
    chunked = generation == "v1" or draw(st.booleans())
    max_num_seqs = draw(st.integers(1, 12))
    return EngineConfig(
        generation=generation,
        chunked_prefill=chunked,
        kv_blocks=draw(st.sampled_from([9, 12, 20, 40, 150, 250])),
        block_size=draw(st.sampled_from([16, 16, 8, 3])),
        state_blocks=draw(st.sampled_from([0, 0, 0, 1, 4])),
        **draw(st.sampled_from([{}, {}, {"window_tokens": 20, "window_blocks": 3}])),
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=draw(st.integers(max_num_seqs, 90)) if chunked else 128,
        max_model_len=2**31 - 1 if chunked else 128,
        horizon_s=draw(st.sampled_from([None, None, 1.2345, 0.31])),
        replicas=draw(st.sampled_from([1, 1, 1, 3])),
        ranks=draw(st.sampled_from([1, 1, 3])),
        router=draw(st.sampled_from(["round_robin", "least_load"])),
        max_loras=draw(st.integers(1, 4)) if lora else 0,
        max_cpu_loras=draw(st.integers(4, 6)) if lora else None,
        max_lora_rank=16 if lora else 0,
        touches_first=lora and draw(st.booleans()),
    )


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(engines(), st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 0.5, 3.0]))
def test_kernel_agrees_with_naive_engine(engine: EngineConfig, seed: int, n: int, spread_s: float) -> None:
    """INV-00: every per-request time, token, preemption and gap, to 1e-9."""
    requests = random_requests(np.random.default_rng(seed), n, spread_s, 0)
    assume(fits(engine, requests))
    assert_same(simulate(engine, requests, LAW), *run_naively(engine, requests, LAW))


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(engines(lora=True), st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.0, 0.5, 3.0]))
def test_kernel_agrees_with_naive_engine_on_adapters(
    engine: EngineConfig, seed: int, n: int, spread_s: float
) -> None:
    """INV-00 with LoRA: skipping, slots, host cache, loads."""
    rng = np.random.default_rng(seed)
    n_adapters = int(rng.integers(1, 9))
    adapters = AdapterTable(
        rank=np.full(n_adapters, 8, dtype=np.int32),
        cpu_to_gpu_s=rng.random(n_adapters) * 0.01,
        disk_to_cpu_s=rng.random(n_adapters) * 0.05,
    )
    requests = random_requests(rng, n, spread_s, n_adapters)
    assume(fits(engine, requests))
    assert_same(simulate(engine, requests, LAW, adapters), *run_naively(engine, requests, LAW, adapters))


def conversations(rng: np.random.Generator, requests: Requests, block_size: int) -> Requests:
    """Give requests names of blocks: a few common beginnings, then their own, some for generated tokens too."""
    names: list[int] = []
    starts = [0]
    for index in range(len(requests)):
        tokens = requests.input_tokens[index] + requests.output_tokens[index] * rng.integers(0, 2)
        blocks = int(rng.integers(0, tokens // block_size + 1))
        common = int(rng.integers(0, blocks + 1))
        family = int(rng.integers(0, 3))
        own = 1000 + 100 * int(rng.integers(0, 40))
        names += [100 * family + place for place in range(common)]
        names += [own + place for place in range(common, blocks)]
        starts.append(len(names))
    return replace(
        requests,
        prefix_blocks=np.array(names, dtype=np.int64),
        prefix_start=np.array(starts, dtype=np.int64),
    )


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    engines(generations=["v1"]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.sampled_from([0.0, 0.5, 3.0]),
)
def test_kernel_agrees_with_naive_engine_on_prefix_caching(
    engine: EngineConfig, seed: int, n: int, spread_s: float
) -> None:
    """INV-00 with prefix caching: hits, eviction order, copies, preempted requests that find their blocks."""
    rng = np.random.default_rng(seed)
    engine = replace(engine, enable_prefix_caching=True)
    requests = conversations(rng, random_requests(rng, n, spread_s, 0), engine.block_size)
    assume(fits(engine, requests))
    assert_same(simulate(engine, requests, LAW), *run_naively(engine, requests, LAW))


def linked(rng: np.random.Generator, requests: Requests) -> Requests:
    """Let users or sessions send the requests, with and without pauses."""
    n = len(requests)
    follows = np.full(n, -1, dtype=np.int64)
    if rng.random() < 0.7:
        chance = rng.random()
        follows[1:] = np.where(rng.random(n - 1) < chance, np.arange(n - 1), -1)
    closed = bool(rng.random() < 0.7)
    return replace(
        requests,
        follows=follows if not closed or rng.random() < 0.7 else None,
        users=int(rng.integers(1, 15)) if closed else None,
        think_s=rng.random(n) * 0.3 if rng.random() < 0.5 else None,
        turnaround_s=float(rng.choice([0.0, 0.01])),
    )


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(engines(), st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([0.0, 0.5, 3.0]))
def test_kernel_agrees_with_naive_engine_on_closed_loops_and_sessions(
    engine: EngineConfig, seed: int, n: int, spread_s: float
) -> None:
    """INV-00 where a request waits for the end of another: users, turns, pauses, several replicas."""
    rng = np.random.default_rng(seed)
    requests = linked(rng, random_requests(rng, n, spread_s, 0))
    assume(fits(engine, requests))
    output = simulate(engine, requests, LAW)
    everyone, replicas = run_naively(engine, requests, LAW)
    assert_same(output, everyone, replicas)
    came = output.requests.status != Status.NOT_ARRIVED
    assert came.tolist() == [request.status != "not arrived" for request in everyone]
    expected = np.array([request.arrival_s for request in everyone])
    np.testing.assert_allclose(output.requests.arrival_s[came], expected[came], rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(engines(), st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_users_have_at_most_one_request_open_each(engine: EngineConfig, seed: int, users: int) -> None:
    """INV-17: a closed loop never holds more requests than users; with one user they don't overlap."""
    requests = replace(random_requests(np.random.default_rng(seed), 40, 0.0, 0), users=users)
    assume(fits(engine, requests))
    output = simulate(replace(engine, horizon_s=None), requests, LAW)
    outcome = output.requests
    served = outcome.status == Status.FINISHED
    events = [(time_s, 1) for time_s in outcome.arrival_s[served]]
    events += [(time_s, -1) for time_s in outcome.last_token_s[served]]
    level = peak = 0
    for _, change in sorted(events):
        level += change
        peak = max(peak, level)
    assert peak <= users
    assert output.running_peak <= users * engine.replicas  # a sum of peaks
