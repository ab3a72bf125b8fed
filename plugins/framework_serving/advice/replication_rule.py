"""Do replicas on one GPU pay? Comparison with every honest baseline, as pure functions.

The published gain (+33.7 % for OPT-1.3B, arXiv 2503.08311) is against one replica at MAX *without* chunked
prefill, so part of it may be prefill stalls that chunking removes as well. A gain is therefore stated against
each baseline, and replicas are advised only if they beat the best of them by more than the noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from framework.quantity import NOISE_FLOOR, Quantity, gain


@dataclass(frozen=True)
class ServingSetup:
    """One way to use a GPU, and what it delivers.

    Attributes:
        run_ids: the runs behind it; empty if it was simulated.
        replicas: engines on the GPU.
        max_num_seqs: batch ceiling of each.
        mps: they share the GPU by MPS rather than by time slices.
        chunked_prefill: prompts are computed in chunks, in the same steps as decodes.
        throughput: total tokens per second over all replicas.
        latency_ms: mean ITL; None if unknown.
        preempted: a request was pushed out of the KV cache.
        simulated_from: the runs of the single engine whose other settings a simulation had.
    """

    run_ids: tuple[str, ...]
    replicas: int
    max_num_seqs: int
    mps: bool
    chunked_prefill: bool
    throughput: Quantity
    latency_ms: float | None
    preempted: bool
    simulated_from: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Short name for a table."""
        count = "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
        sharing = "" if self.replicas == 1 else " with MPS" if self.mps else " without MPS"
        chunked = ", chunked prefill" if self.chunked_prefill else ""
        return f"{count} × {self.max_num_seqs}{sharing}{chunked}"


@dataclass(frozen=True)
class Comparison:
    """A baseline and the relative gain of the best replicated setup over it."""

    name: str
    setup: ServingSetup
    gain: Quantity


@dataclass(frozen=True)
class ReplicationVerdict:
    """What to do, and against what.

    Attributes:
        best: the replicated setup with most throughput.
        comparisons: baselines that exist in the sweep: `MAX`, `MAX chunked`, `same batch`, `no MPS`.
        best_single: the single replica that delivers most.
        pays: the gain over `best_single` exceeds the noise floor.
    """

    best: ServingSetup
    comparisons: tuple[Comparison, ...]
    best_single: ServingSetup
    pays: bool


def judge_replication(
    setups: Sequence[ServingSetup], max_latency_ms: float | None = None, noise: float = NOISE_FLOOR
) -> ReplicationVerdict | None:
    """Compare replicas with single engines; None if the sweep lacks either kind.

    Configurations with preemptions are never chosen nor a baseline: MAX is the largest batch without preemption.

    Args:
        setups: all configurations of one model, GPU and workload.
        max_latency_ms: leave out configurations with replicas and a higher (or unknown) mean ITL.
        noise: relative gain below which a difference of single runs is not a finding.
    """
    usable = [setup for setup in setups if not setup.preempted]
    single = [setup for setup in usable if setup.replicas == 1]
    replicated = [setup for setup in usable if setup.replicas > 1 and _fast_enough(setup, max_latency_ms)]
    if not single or not replicated:
        return None
    best = max(replicated, key=lambda setup: (setup.throughput.value, -setup.replicas, -setup.max_num_seqs))
    best_single = max(single, key=lambda setup: (setup.throughput.value, -setup.max_num_seqs))
    comparisons = [
        Comparison(name, setup, gain(best.throughput, setup.throughput, noise))
        for name, setup in baselines(best, usable)
    ]
    over_single = best.throughput.value / best_single.throughput.value - 1
    return ReplicationVerdict(best, tuple(comparisons), best_single, over_single > noise)


def baselines(best: ServingSetup, setups: Sequence[ServingSetup]) -> list[tuple[str, ServingSetup]]:
    """Return (name, setup) of the baselines that exist among `setups`."""
    single = [setup for setup in setups if setup.replicas == 1]
    plain = [setup for setup in single if not setup.chunked_prefill]
    chunked = [setup for setup in single if setup.chunked_prefill]
    found = []
    if plain:
        found.append(("MAX", max(plain, key=lambda setup: setup.max_num_seqs)))
    if chunked:
        found.append(("MAX chunked", max(chunked, key=lambda setup: setup.max_num_seqs)))
    same = [s for s in plain or chunked if s.max_num_seqs == best.max_num_seqs]
    found.extend(("same batch", setup) for setup in same[:1])
    unshared = [
        setup
        for setup in setups
        if (setup.replicas, setup.max_num_seqs, setup.chunked_prefill)
        == (best.replicas, best.max_num_seqs, best.chunked_prefill)
        and setup.mps != best.mps
    ]
    found.extend(("no MPS" if best.mps else "MPS", setup) for setup in unshared[:1])
    return found


def replicas_that_fit(
    budget_gib: float, kv_cache_gib: float, kv_usage_peak: float, margin: float = 0.05
) -> int:
    """Return how many replicas the memory of one engine would hold at this batch.

    A replica needs the engine's memory in addition to the cache (weights, activations: budget - cache) and the part
    of the cache that its batch used, plus a relative margin.
    """
    fixed_gib = budget_gib - kv_cache_gib
    needed_gib = fixed_gib + kv_cache_gib * min(kv_usage_peak * (1 + margin), 1.0)
    return max(1, math.floor(budget_gib / needed_gib + 1e-9)) if needed_gib > 0 else 1


def _fast_enough(setup: ServingSetup, max_latency_ms: float | None) -> bool:
    if max_latency_ms is None:
        return True
    return setup.latency_ms is not None and setup.latency_ms <= max_latency_ms
