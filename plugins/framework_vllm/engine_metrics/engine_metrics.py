"""Metrics that the engine itself counts, next to those that the client measures."""

from __future__ import annotations

from collections.abc import Iterator

from framework.contracts import Metric, MetricDefinition
from framework_vllm.engine_metrics.families import HISTOGRAM_MEANS
from framework_vllm.engine_metrics.record import EngineRecord

_SOURCE = "engine"
_MEANINGS = {
    "engine_ttft_mean_ms": "arrival at the engine's door to the first token, by the engine's own clock",
    "engine_itl_mean_ms": "gap between successive tokens, by the engine's own clock",
    "engine_tpot_mean_ms": "mean over requests of time per output token after the first, by the engine's own clock",
    "engine_e2e_mean_ms": "arrival at the engine's door to the last token, by the engine's own clock",
    "engine_queue_mean_ms": "time from arrival in the engine to its first step, mean over requests",
    "engine_prefill_mean_ms": "first step to the first token, mean over requests",
    "engine_decode_mean_ms": "first to last token, mean over requests",
}

ENGINE_METRICS: tuple[MetricDefinition, ...] = (
    *(MetricDefinition(name, "ms", meaning, "lower") for name, meaning in _MEANINGS.items()),
    MetricDefinition("engine_input_tokens", "tokens", "prompt tokens that the engine counted in the run"),
    MetricDefinition("engine_output_tokens", "tokens", "tokens that the engine generated in the run"),
)

_COUNTERS = (
    ("engine_input_tokens", "vllm:prompt_tokens", "tokens"),
    ("engine_output_tokens", "vllm:generation_tokens", "tokens"),
    ("preemptions", "vllm:num_preemptions", ""),
)


def engine_metrics(record: EngineRecord) -> Iterator[Metric]:
    """Yield the engine's own metrics over the run; absent with the reason where it does not tell."""
    for mean in HISTOGRAM_MEANS:
        histogram = record.observed(mean.family)
        if histogram is None:
            yield Metric.absent(mean.metric, _reason(record, mean.family), "ms", _SOURCE)
        elif histogram.count <= 0:
            yield Metric.absent(mean.metric, f"{mean.family} observed nothing", "ms", _SOURCE)
        else:
            yield Metric(mean.metric, 1e3 * histogram.sum / histogram.count, "ms", _SOURCE)
    for name, family, unit in _COUNTERS:
        grown = record.grown(family)
        if grown is None:
            yield Metric.absent(name, _reason(record, family), unit, _SOURCE)
        else:
            yield Metric(name, grown, unit, _SOURCE)
    yield _prefix_hits(record)


def _prefix_hits(record: EngineRecord) -> Metric:
    asked, hit = record.grown("vllm:prefix_cache_queries"), record.grown("vllm:prefix_cache_hits")
    if asked is None or hit is None:
        return Metric.absent("prefix_hit_share", _reason(record, "vllm:prefix_cache_queries"), "", _SOURCE)
    if asked <= 0:
        return Metric.absent("prefix_hit_share", "the prefix cache was not asked", "", _SOURCE)
    return Metric("prefix_hit_share", hit / asked, "", _SOURCE)


def _reason(record: EngineRecord, family: str) -> str:
    return record.trouble or f"/metrics has no {family}"
