"""The Batching Configuration Advisor's rule (arXiv 2503.08311), as pure functions of a sweep over batch sizes.

    T(B) throughput, L(B) latency of the sweep point with batch ceiling B
    SLO  = m · L(B_ref)                 m = 2 strict, 4 relaxed; B_ref = 32
    g(B) = T(B) / (B · T(1))            batching efficiency, 1 at B = 1
    B_opt = max { B : L(B) ≤ SLO and g(B) > ε and no preemption }

The published rule lacks the last condition, and "largest B" equals "most throughput" only while T rises with B.
Here a feasible point whose throughput is below that of a smaller one by more than the noise is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BatchPoint:
    """What the rule needs of one run.

    Attributes:
        batch: configured ceiling B (`max_num_seqs`).
        throughput_tok_s: T(B).
        latency_ms: L(B), mean ITL or mean TPOT.
        preemptions: None if unknown, which rules the point out where preemption matters.
        running_mean: requests that really ran at once; None if unknown.
        kv_usage_peak: 0 to 1; None if unknown.
        itl_p99_ms, ttft_p99_ms: None if unknown.
    """

    batch: int
    throughput_tok_s: float
    latency_ms: float
    preemptions: float | None = None
    running_mean: float | None = None
    kv_usage_peak: float | None = None
    itl_p99_ms: float | None = None
    ttft_p99_ms: float | None = None


@dataclass(frozen=True)
class BcaRule:
    """Constants of the rule.

    Attributes:
        slo_multiple: m.
        reference_batch: B_ref.
        min_efficiency: ε; None switches the condition off.
        allow_preemption: take points in which requests were preempted, as the published scripts do.
        max_itl_p99_ms, max_ttft_p99_ms: further limits; None: none.
        noise: relative difference in throughput below which two points count as equal; 2 % is about three times
            what two repeats differ by (median 0.5 %, science note §2).
    """

    slo_multiple: float = 2.0
    reference_batch: int = 32
    min_efficiency: float | None = 0.1
    allow_preemption: bool = False
    max_itl_p99_ms: float | None = None
    max_ttft_p99_ms: float | None = None
    noise: float = 0.02


@dataclass(frozen=True)
class BcaChoice:
    """Outcome of the rule.

    Attributes:
        chosen: the point at B_opt; None if no point is feasible.
        slo_ms: the latency limit.
        reference_ms: L(B_ref).
        efficiency: g of each point, by batch.
        rejected: why each other point was not chosen, by batch.
        latency_limit_batch: batch at which L crosses the limit, interpolated between the chosen point and
            the next one; None if the latency does not bind there.
    """

    chosen: BatchPoint | None
    slo_ms: float
    reference_ms: float
    efficiency: dict[int, float] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)
    latency_limit_batch: float | None = None


def choose_batch(points: Sequence[BatchPoint], rule: BcaRule) -> BcaChoice | None:
    """Apply the rule to a sweep; None if the sweep is empty or does not reach around B_ref."""
    ordered = sorted(points, key=lambda point: point.batch)
    reference_ms = latency_at(ordered, rule.reference_batch)
    if reference_ms is None:
        return None
    slo_ms = rule.slo_multiple * reference_ms
    efficiency = batching_efficiency(ordered)
    rejected = {
        point.batch: reason
        for point in ordered
        if (reason := _objection(point, rule, slo_ms, efficiency[point.batch])) is not None
    }
    feasible = [point for point in ordered if point.batch not in rejected]
    if not feasible:
        return BcaChoice(None, slo_ms, reference_ms, efficiency, rejected)
    best = max(point.throughput_tok_s for point in feasible)
    good_enough = [point for point in feasible if point.throughput_tok_s >= best * (1 - rule.noise)]
    chosen = good_enough[-1]
    for point in feasible:
        if point.batch > chosen.batch:
            rejected[point.batch] = "throughput is below that of a smaller batch"
        elif point.batch < chosen.batch:
            rejected[point.batch] = "a larger batch is feasible"
    crossing = _crossing(ordered, chosen, slo_ms)
    return BcaChoice(chosen, slo_ms, reference_ms, efficiency, rejected, crossing)


def latency_at(points: Sequence[BatchPoint], batch: int) -> float | None:
    """Return L(batch), on the straight line between neighbours if it was not run: a step is affine in its batch.

    None outside the sweep.
    """
    for point in points:
        if point.batch == batch:
            return point.latency_ms
    below = [point for point in points if point.batch < batch]
    above = [point for point in points if point.batch > batch]
    if not below or not above:
        return None
    left, right = below[-1], above[0]
    share = (batch - left.batch) / (right.batch - left.batch)
    return left.latency_ms + share * (right.latency_ms - left.latency_ms)


def batching_efficiency(points: Sequence[BatchPoint]) -> dict[int, float]:
    """Return g(B) by batch, relative to the smallest batch of the sweep (B = 1 in the published rule)."""
    smallest = min(points, key=lambda point: point.batch)
    alone = smallest.throughput_tok_s / smallest.batch
    return {point.batch: point.throughput_tok_s / (point.batch * alone) for point in points}


def freed_gib(kv_cache_gib: float, kv_usage_peak: float) -> float:
    """Return the KV cache that the run never used, GiB."""
    return kv_cache_gib * (1.0 - kv_usage_peak)


def utilization_to_set(
    utilization: float, gpu_memory_gib: float, kv_cache_gib: float, kv_usage_peak: float, margin: float
) -> float:
    """Return the `gpu_memory_utilization` that leaves the peak plus a margin, rounded up to a thousandth.

    Args:
        utilization: the setting of the run.
        gpu_memory_gib: memory the setting is a share of.
        kv_cache_gib: KV cache of the run.
        kv_usage_peak: largest sampled share of it in use.
        margin: relative allowance over the peak (samples miss short peaks).
    """
    needed = min(kv_usage_peak * (1.0 + margin), 1.0)
    freed = freed_gib(kv_cache_gib, needed)
    thousandths = -((freed / gpu_memory_gib - utilization) * 1000 // 1)
    return min(thousandths / 1000, utilization)


def _objection(point: BatchPoint, rule: BcaRule, slo_ms: float, efficiency: float) -> str | None:
    if point.latency_ms > slo_ms:
        return f"latency {point.latency_ms:.4g} ms is over the limit of {slo_ms:.4g} ms"
    if rule.min_efficiency is not None and efficiency <= rule.min_efficiency:
        return f"batching efficiency {efficiency:.3g} is not above {rule.min_efficiency:g}"
    if not rule.allow_preemption and point.preemptions is None:
        return "unknown whether requests were preempted"
    if not rule.allow_preemption and point.preemptions:
        return f"{point.preemptions:.0f} preemptions"
    for limit, value, name in (
        (rule.max_itl_p99_ms, point.itl_p99_ms, "p99 ITL"),
        (rule.max_ttft_p99_ms, point.ttft_p99_ms, "p99 TTFT"),
    ):
        if limit is not None and value is None:
            return f"{name} is unknown"
        if limit is not None and value is not None and value > limit:
            return f"{name} {value:.4g} ms is over {limit:g} ms"
    return None


def _crossing(ordered: Sequence[BatchPoint], chosen: BatchPoint, slo_ms: float) -> float | None:
    following = next((point for point in ordered if point.batch > chosen.batch), None)
    if following is None or following.latency_ms <= slo_ms:
        return None
    share = (slo_ms - chosen.latency_ms) / (following.latency_ms - chosen.latency_ms)
    return chosen.batch + share * (following.batch - chosen.batch)
