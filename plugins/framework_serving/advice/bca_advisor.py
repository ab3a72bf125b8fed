"""Advisor `bca`: reads the finished sweeps over batch size, applies `bca_rule` and says what to set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from framework.analysis.number_format import count_noun
from framework.configuration.plain_values import from_plain, number, one_of
from framework.contracts import Advice, AdvisorScope, Json
from framework.quantity import NOISE_FLOOR
from framework_serving.advice.bca_rule import (
    BatchPoint,
    BcaChoice,
    BcaRule,
    choose_batch,
    freed_gib,
    utilization_to_set,
)
from framework_serving.hardware.model_shape import GIB
from framework_serving.sweeps.sweep_points import Curve, SweepPoint, context, curves, load_points

LATENCIES = ("itl_mean_ms", "tpot_mean_ms")
NO_INTERVAL = f"no interval known for this run: ±{100 * NOISE_FLOOR:g} % noise floor"


@dataclass(frozen=True)
class NamedRule:
    """A rule with the name under which its advice is listed (`strict`, `relaxed`)."""

    name: str
    rule: BcaRule


class BcaAdvisor:
    """Batching Configuration Advisor: the largest batch within a latency limit, and the memory it frees.

    Args:
        slo_multiples: name → m of the latency limit m · L(reference_batch); one piece of advice each.
        latency: metric used as L.
        reference_batch, min_efficiency, allow_preemption, max_itl_p99_ms, max_ttft_p99_ms, noise: see `BcaRule`.
        kv_margin: relative allowance over the sampled KV peak when memory is given back.
    """

    def __init__(
        self,
        slo_multiples: dict[str, float] | None = None,
        latency: str = "itl_mean_ms",
        kv_margin: float = 0.05,
        **constants: Any,
    ) -> None:
        base = from_plain(BcaRule, constants, "advisor.bca")
        for key, value in constants.items():
            if value is not None and key != "allow_preemption":
                number(value, f"advisor.bca.{key}", least=0)
        self.latency, self.kv_margin = one_of(latency, "advisor.bca.latency", LATENCIES), kv_margin
        multiples = slo_multiples or {"strict": 2.0, "relaxed": 4.0}
        for name, multiple in multiples.items():
            number(multiple, f"advisor.bca.slo_multiples.{name}", above=0)
        self.rules = [NamedRule(name, replace(base, slo_multiple=m)) for name, m in multiples.items()]

    def advise(self, scope: AdvisorScope) -> Iterator[Advice]:
        """Yield advice for every single-replica sweep over the batch ceiling with at least three points."""
        for curve in curves(load_points(scope.store, scope.run_ids)):
            if curve.first.replicas == 1 and len(curve.points) >= 3:
                yield from self.advise_curve(curve)

    def advise_curve(self, curve: Curve) -> Iterator[Advice]:
        """Yield one piece of advice a rule for one curve."""
        points = batch_points(curve, self.latency)
        for named in self.rules:
            choice = choose_batch(points, named.rule)
            if choice is not None:
                yield (
                    self._advice(curve, named, choice)
                    if choice.chosen
                    else self._refusal(curve, named, choice)
                )

    def _advice(self, curve: Curve, named: NamedRule, choice: BcaChoice) -> Advice:
        chosen = choice.chosen
        assert chosen is not None
        point = curve.at(chosen.batch)
        assert point is not None
        throughput = point.metrics["total_tok_s"]
        low, high = throughput.interval()
        memory = _memory(point, self.kv_margin)
        recommendation = {**context(point), "backend.max_num_seqs": chosen.batch}
        if "gpu_memory_utilization" in memory:
            recommendation["backend.gpu_memory_utilization"] = memory["gpu_memory_utilization"]
        facts: dict[str, Json] = {
            "rule": named.name,
            "workload": point.workload,
            "latency_ms": chosen.latency_ms,
            "slo_ms": choice.slo_ms,
            "efficiency": choice.efficiency[chosen.batch],
            "running_mean": chosen.running_mean,
            "latency_limit_batch": choice.latency_limit_batch,
            "interval_from": "run" if throughput.has_interval else "noise floor",
            **memory,
            **_beside(curve, choice, chosen),
        }
        return Advice(
            advisor="bca",
            subject=_subject(point, curve),
            recommendation=recommendation,
            metric="total_tok_s",
            predicted=throughput.value,
            low=low,
            high=high,
            reason=self._reason(named, choice, chosen, point, memory),
            run_ids=tuple(run_id for item in curve.points for run_id in item.run_ids),
            facts=facts,
        )

    def _refusal(self, curve: Curve, named: NamedRule, choice: BcaChoice) -> Advice:
        """Return advice that recommends nothing and says what rules each batch out."""
        objections = "; ".join(f"B={batch}: {reason}" for batch, reason in choice.rejected.items())
        return Advice(
            advisor="bca",
            subject=_subject(curve.first, curve),
            recommendation={},
            metric="total_tok_s",
            predicted=None,
            low=None,
            high=None,
            reason=f"{named.name}: no batch is feasible ({objections})",
            run_ids=tuple(run_id for item in curve.points for run_id in item.run_ids),
            facts={"rule": named.name, "workload": curve.first.workload, "slo_ms": choice.slo_ms},
        )

    def _reason(
        self,
        named: NamedRule,
        choice: BcaChoice,
        chosen: BatchPoint,
        point: SweepPoint,
        memory: dict[str, Json],
    ) -> str:
        rule = named.rule
        running = "" if chosen.running_mean is None else f" ({chosen.running_mean:.0f} running on average)"
        limit = (
            f"{named.name}: largest batch{running} whose {_latency_name(self.latency)} of {chosen.latency_ms:.3g} ms "
            f"is within {rule.slo_multiple:g} × {choice.reference_ms:.3g} ms at B={rule.reference_batch}"
        )
        if rule.min_efficiency is not None:
            limit += f", efficiency {choice.efficiency[chosen.batch]:.2f} > {rule.min_efficiency:g}"
        limit += ", no preemption" if not rule.allow_preemption else ""
        if "freed_gib" in memory:
            limit += f"; {memory['freed_gib']:.1f} GiB of KV cache are unused"
        if not point.metrics["total_tok_s"].has_interval:
            limit += f" ({NO_INTERVAL})"
        return limit


def _beside(curve: Curve, choice: BcaChoice, chosen: BatchPoint) -> dict[str, Json]:
    """Return what the answer says of other batches: those that give less, and what rules out those that give more."""
    gains = {
        point.max_num_seqs: 100 * (rate / chosen.throughput_tok_s - 1)
        for point in curve.points
        if point.max_num_seqs != chosen.batch and (rate := point.value("total_tok_s"))
    }
    less = {batch: gain for batch, gain in gains.items() if gain <= 0}
    beats = "no other batch limit"
    if less:
        batch = max(less, key=lambda item: less[item])
        beats = f"{count_noun(len(less), 'other batch limit')}, the next (B={batch}) by {-less[batch]:.1f} %"
    changes: list[Json] = [
        f"B={batch} gives {gain:+.1f} %, ruled out: {choice.rejected[batch]}"
        for batch, gain in sorted(gains.items())
        if gain > 0 and batch in choice.rejected
    ]
    return {"beats": beats, "changes": changes}


def batch_points(curve: Curve, latency: str) -> list[BatchPoint]:
    """Return what the batching rule needs of a curve; points without throughput or latency are left out."""
    found = []
    for point in curve.points:
        throughput, latency_ms = point.value("total_tok_s"), point.value(latency)
        if throughput and latency_ms and point.sanity != "fail":
            found.append(
                BatchPoint(
                    batch=point.max_num_seqs,
                    throughput_tok_s=throughput,
                    latency_ms=latency_ms,
                    preemptions=point.value("preemptions"),
                    running_mean=point.value("running_mean"),
                    kv_usage_peak=point.value("kv_usage_peak"),
                    itl_p99_ms=point.value("itl_p99_ms"),
                    ttft_p99_ms=point.value("ttft_p99_ms"),
                )
            )
    return found


def _memory(point: SweepPoint, margin: float) -> dict[str, Json]:
    """Return freed memory and the settings that give it back, as far as the run says what it used."""
    cache_gib, peak = point.value("kv_cache_gib"), point.value("kv_usage_peak")
    if cache_gib is None or peak is None:
        return {}
    found: dict[str, Json] = {
        "kv_cache_gib": cache_gib,
        "kv_usage_peak": peak,
        "freed_gib": freed_gib(cache_gib, peak),
    }
    utilization, gpu_gib = point.number("backend.gpu_memory_utilization"), point.number("gpu.memory_gib")
    if utilization and gpu_gib:
        found["freed_share_of_gpu"] = found["freed_gib"] / gpu_gib
        least = max(peak, _longest_request_gib(point) / cache_gib)
        found["gpu_memory_utilization"] = utilization_to_set(utilization, gpu_gib, cache_gib, least, margin)
    return found


def _longest_request_gib(point: SweepPoint) -> float:
    """Return the KV cache of one request of `max_model_len`, 0 if unknown: an engine does not start with less."""
    shape = point.shape
    if shape is None:
        return 0.0
    tokens = point.number("backend.max_model_len") or shape.max_model_len
    return shape.kv_bytes_per_token * tokens / GIB


def _subject(point: SweepPoint, curve: Curve) -> str:
    chunked = ", chunked prefill" if curve.first.chunked_prefill else ""
    return f"{point.model} ({point.workload}{chunked})"


def _latency_name(metric: str) -> str:
    return "mean ITL" if metric == "itl_mean_ms" else "mean TPOT"
