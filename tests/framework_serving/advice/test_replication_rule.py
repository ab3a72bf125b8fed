from __future__ import annotations

from dataclasses import replace

import pytest

from framework.quantity import Quantity, gain
from framework_serving.advice.replication_rule import ServingSetup, judge_replication, replicas_that_fit


def setup(
    tok_s: float,
    replicas: int = 1,
    batch: int = 256,
    mps: bool = True,
    chunked: bool = False,
    latency_ms: float | None = 30.0,
    preempted: bool = False,
) -> ServingSetup:
    shared = mps and replicas > 1
    name = f"{replicas}-{batch}-{shared}-{chunked}"
    return ServingSetup((name,), replicas, batch, shared, chunked, Quantity(tok_s), latency_ms, preempted)


SWEEP = [
    setup(10_000, batch=256),
    setup(11_000, batch=768),
    setup(13_000, batch=512, chunked=True),
    setup(14_500, replicas=2),
    setup(12_000, replicas=2, mps=False),
]


def test_gain_is_stated_against_every_baseline() -> None:
    verdict = judge_replication(SWEEP)
    assert verdict is not None
    assert verdict.best.label == "2 replicas × 256 with MPS"
    gains = {item.name: round(item.gain.value, 4) for item in verdict.comparisons}
    assert gains == {"MAX": 0.3182, "MAX chunked": 0.1154, "same batch": 0.45, "no MPS": 0.2083}
    assert verdict.pays


def test_gain_over_max_alone_does_not_pay_if_chunking_gives_the_same() -> None:
    verdict = judge_replication([*SWEEP, setup(14_200, batch=768, chunked=True)])
    assert verdict is not None
    assert {item.name: item.gain.value for item in verdict.comparisons}["MAX"] > 0.3
    assert not verdict.pays
    assert verdict.best_single.chunked_prefill


def test_max_is_the_largest_batch_without_preemption() -> None:
    verdict = judge_replication([*SWEEP, setup(99_000, batch=1024, preempted=True)])
    assert verdict is not None
    assert {item.name: item.setup.max_num_seqs for item in verdict.comparisons}["MAX"] == 768


def test_preempting_or_slow_replicas_are_not_chosen() -> None:
    assert judge_replication([setup(10_000), setup(20_000, replicas=2, preempted=True)]) is None
    assert judge_replication(SWEEP, max_latency_ms=20) is None
    slow = [replace(item, latency_ms=None) for item in SWEEP]
    assert judge_replication(slow, max_latency_ms=20) is None


def test_sweep_without_replicas_gives_no_verdict() -> None:
    assert judge_replication([item for item in SWEEP if item.replicas == 1]) is None


def test_interval_of_a_gain_covers_both_runs_noise() -> None:
    found = gain(Quantity(130.0), Quantity(100.0), noise=0.04)
    assert found.value == pytest.approx(0.3)
    assert found.low == pytest.approx(1.3 * (1 - 0.04 * 2**0.5) - 1)
    assert found.high == pytest.approx(1.3 * (1 + 0.04 * 2**0.5) - 1)


def test_as_many_replicas_fit_as_unused_cache_admits() -> None:
    # 57 GiB budget, 54 GiB cache of which 20 % is used: each replica needs 3 + 10.8 GiB
    assert replicas_that_fit(57.0, 54.0, 0.2, margin=0.0) == 4
    assert replicas_that_fit(57.0, 54.0, 1.0) == 1
