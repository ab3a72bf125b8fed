"""Named computations that a claim can ask for: a quantity of a paper, computed from a sweep's runs.

Each takes the points of the sweep and its own parameters, and returns the value in the claim's unit, or raises
`NotEvaluatedError` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from framework.errors import NotEvaluatedError
from framework.quantity import Quantity, gain
from framework_serving.advice.bca_advisor import batch_points
from framework_serving.advice.bca_rule import BcaRule, choose_batch, freed_gib
from framework_serving.advice.replication_advisor import setup_of
from framework_serving.advice.replication_rule import baselines
from framework_serving.claims.adapter_claims import (
    best_adapter_throughput,
    learned_error,
    most_adapters,
    slot_regret,
)
from framework_serving.claims.evidence import Evidence
from framework_serving.fronts.front_points import front_gain
from framework_serving.physical.physical_report import lockstep_shares, share_of_peak_bandwidth
from framework_serving.sweeps.knees import KNEE_SHARE, Knee, find_knee, growth_exponent
from framework_serving.sweeps.sweep_points import Curve, SweepPoint, lockstep_points


def replication_gain(
    evidence: Evidence,
    model: str,
    replicas: int,
    max_num_seqs: int,
    mps: bool = True,
    baseline: str = "MAX",
    workload: str = "sharegpt",
) -> Quantity:
    """Return the throughput gain, %, of replicas over a baseline (`MAX`, `MAX chunked`, `same batch`, `no MPS`)."""
    setups = [
        setup_of(point)
        for point in evidence.points
        if (point.model, point.workload) == (model, workload) and point.value("total_tok_s")
    ]
    usable = [setup for setup in setups if not setup.preempted]
    for setup in setups:
        if (setup.replicas, setup.max_num_seqs, setup.mps) == (replicas, max_num_seqs, mps):
            against = dict(baselines(setup, usable)).get(baseline)
            if against is None:
                raise NotEvaluatedError(f"no run for the baseline '{baseline}' of {model}")
            found = gain(setup.throughput, against.throughput)
            assert found.low is not None
            assert found.high is not None
            return Quantity(100 * found.value, 100 * found.low, 100 * found.high)
    raise NotEvaluatedError(f"no run of {model} with {replicas} replicas of {max_num_seqs}")


def freed_memory_share(
    evidence: Evidence,
    model: str,
    gpu_gib: float,
    slo_multiple: float = 3.0,
    latency: str = "tpot_mean_ms",
    workload: str = "fixed",
    output_tokens: float = 390,
    chunked_prefill: bool = True,
) -> Quantity:
    """Return the unused KV cache at B_opt, % of the GPU's memory: latency rule alone, no efficiency rule."""
    curve = evidence.curve(model, workload, chunked_prefill, output_tokens)
    choice = choose_batch(batch_points(curve, latency), BcaRule(slo_multiple, min_efficiency=None))
    if choice is None or choice.chosen is None:
        raise NotEvaluatedError(f"no batch size of {model} meets the latency limit")
    point = curve.at(choice.chosen.batch)
    assert point is not None
    cache, peak = point.metrics.get("kv_cache_gib"), point.metrics.get("kv_usage_peak")
    if cache is None or peak is None:
        raise NotEvaluatedError(f"KV cache size or usage unknown for {model}")

    def share(usage: float) -> float:
        return 100 * freed_gib(cache.value, min(max(usage, 0.0), 1.0)) / gpu_gib

    if not peak.has_interval:
        return Quantity(share(peak.value))
    low, high = peak.interval()
    return Quantity(share(peak.value), share(high), share(low))


def knee_kv_usage(
    evidence: Evidence,
    model: str,
    throughput_share: float = 0.95,
    workload: str = "sharegpt",
    chunked_prefill: bool = False,
) -> Quantity:
    """Return the KV peak, %, at the knee: the smallest batch with this share of the best throughput."""
    knee = _knee(evidence.curve(model, workload, chunked_prefill), throughput_share)
    usage = knee.at_share.metrics.get("kv_usage_peak")
    if usage is None:
        raise NotEvaluatedError(f"KV usage unknown for {model}")
    return Quantity(100 * usage.value)


def growth_past_knee(
    evidence: Evidence, model: str, metric: str, definition: str = "chord", workload: str = "sharegpt"
) -> Quantity:
    """Return d ln metric / d ln batch from the knee to MAX: 1 grows in proportion to the batch, 0 is flat.

    `definition` of the knee: `chord` or `share`.
    """
    knee = _knee(evidence.curve(model, workload, chunked_prefill=False))
    found = growth_exponent([_place(knee, "knee", definition), knee.largest], metric)
    if found is None:
        raise NotEvaluatedError(f"the knee of {model} is its largest batch, or {metric} is unknown")
    return Quantity(found)


def sweep_ratio(
    evidence: Evidence,
    model: str,
    metric: str,
    of: str,
    over: str,
    definition: str = "chord",
    workload: str = "sharegpt",
) -> Quantity:
    """Return a metric at one place of a sweep over that at another; places: `smallest`, `knee`, `MAX`."""
    knee = _knee(evidence.curve(model, workload, chunked_prefill=False))
    points = [_place(knee, place, definition) for place in (of, over)]
    values = [point.metrics.get(metric) for point in points]
    if values[0] is None or values[1] is None or not values[1].value:
        raise NotEvaluatedError(f"{metric} of {model} is unknown at {of} or at {over}")
    return Quantity(values[0].value / values[1].value)


def metric_at(
    evidence: Evidence, model: str, max_num_seqs: int, metric: str, workload: str = "sharegpt"
) -> Quantity:
    """Return a metric of the single engine at one batch ceiling."""
    point = evidence.curve(model, workload, chunked_prefill=False).at(max_num_seqs)
    found = None if point is None else point.metrics.get(metric)
    if found is None:
        raise NotEvaluatedError(f"no {metric} of {model} at {max_num_seqs}")
    return found


def replica_front_gain(evidence: Evidence, model: str, workload: str = "sharegpt") -> Quantity:
    """Return how far replicas enlarge the front of all single engines, % of its area (`fronts.front_gain`)."""
    own = [point for point in evidence.points if (point.model, point.workload) == (model, workload)]
    replicated = [point for point in own if point.replicas > 1]
    found = front_gain(replicated, [point for point in own if point.replicas == 1])
    if not replicated or found is None:
        raise NotEvaluatedError(f"needs runs of {model} with and without replicas")
    return Quantity(100 * found)


def decode_share(
    evidence: Evidence, model: str, batch: int, input_tokens: int, output_tokens: int
) -> Quantity:
    """Return the share of time, %, after the last first token, when all prompts fit into the batch at once."""
    for point in lockstep_points(evidence.points, model, batch):
        if point.tokens == (input_tokens, output_tokens):
            (row,) = evidence.store.query(
                "SELECT 100 * (1 - max(first_token_s) / max(last_token_s)) AS share FROM requests WHERE run_id = ?",
                [point.run_ids[0]],
            ).to_pylist()
            if row["share"] is not None:
                return Quantity(row["share"])
    raise NotEvaluatedError(
        f"no lock-step run of {model} with {batch} prompts, {input_tokens}/{output_tokens} tokens"
    )


def decode_time_share(evidence: Evidence, model: str, batch: int, part: str) -> Quantity:
    """Return a part (`attention`, `host`, `products`) of the decode time, %, of the 161/338 lock-step run."""
    shares = lockstep_shares(evidence.store, evidence.points, model, batch)
    if shares is None:
        raise NotEvaluatedError(
            f"no lock-step run of {model} with {batch} prompts that reports the parts of its time"
        )
    if part not in shares:
        raise NotEvaluatedError(f"no part '{part}': {', '.join(shares)}")
    return Quantity(shares[part])


def dram_read_share(evidence: Evidence, model: str, batch: int) -> Quantity:
    """Return the memory traffic of a lock-step run of this batch, % of the GPU's peak."""
    for point in lockstep_points(evidence.points, model, batch):
        share = share_of_peak_bandwidth(point)
        if share is not None:
            return Quantity(share)
    raise NotEvaluatedError(f"no lock-step run of {model} with {batch} prompts that reports dram_read_tb_s")


def _place(knee: Knee, place: str, definition: str) -> SweepPoint:
    places = {
        "smallest": knee.smallest,
        "knee": knee.at_share if definition == "share" else knee.by_chord,
        "MAX": knee.largest,
    }
    if place not in places or definition not in ("share", "chord"):
        raise NotEvaluatedError(
            f"unknown place '{place}' or knee definition '{definition}'; known: smallest, knee, MAX; share, chord"
        )
    return places[place]


def _knee(curve: Curve, throughput_share: float = KNEE_SHARE) -> Knee:
    knee = find_knee(curve, throughput_share)
    if knee is None:
        raise NotEvaluatedError(f"fewer than two batch sizes of {curve.first.model} run without preemption")
    return knee


COMPUTATIONS: dict[str, Callable[..., Quantity]] = {
    function.__name__: function
    for function in (
        replication_gain,
        freed_memory_share,
        knee_kv_usage,
        growth_past_knee,
        sweep_ratio,
        metric_at,
        replica_front_gain,
        decode_share,
        decode_time_share,
        dram_read_share,
        most_adapters,
        best_adapter_throughput,
        slot_regret,
        learned_error,
    )
}


def computations(evidence: Evidence) -> dict[str, Callable[..., Quantity]]:
    """Return the computations over these runs, by name."""
    return {name: partial(function, evidence) for name, function in COMPUTATIONS.items()}
