"""Metrics that the engine itself counts, next to those that the client measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from framework.contracts import Metric, MetricDefinition
from framework_vllm.engine_metrics.families import HISTOGRAM_MEANS
from framework_vllm.engine_metrics.record import EngineRecord

_SOURCE = "engine"
_MEANINGS = {
    "engine_ttft_mean_ms": "arrival at the engine to the first token, by the engine's own clock",
    "engine_itl_mean_ms": "gap between successive tokens, by the engine's own clock",
    "engine_tpot_mean_ms": "mean over requests of time per output token after the first, by the engine's own clock",
    "engine_e2e_mean_ms": "arrival at the engine to the last token, by the engine's own clock",
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
    """Yield the engine's own metrics over the run; absent with the reason where the engine does not report them."""
    for mean in HISTOGRAM_MEANS:
        histogram = record.observed(mean.family)
        if histogram is None:
            yield Metric.absent(mean.metric, _reason(record, mean.family), "ms", _SOURCE)
        elif histogram.count <= 0:
            yield Metric.absent(mean.metric, f"{mean.family} has no observations", "ms", _SOURCE)
        else:
            yield Metric(mean.metric, 1e3 * histogram.sum / histogram.count, "ms", _SOURCE)
    for name, family, unit in _COUNTERS:
        grown = record.grown(family)
        if grown is None:
            yield Metric.absent(name, _reason(record, family), unit, _SOURCE)
        else:
            yield Metric(name, grown, unit, _SOURCE)
    yield _prefix_hits(record)
    yield _sampled_peak(record, "kv_usage_peak", "vllm:kv_cache_usage_perc", "", max)
    yield _sampled_peak(record, "waiting_peak", "vllm:num_requests_waiting", "requests", sum)


def _sampled_peak(
    record: EngineRecord, name: str, family: str, unit: str, over_servers: Callable[[list[float]], float]
) -> Metric:
    """Return the largest sample of a gauge in the run, with how many there were: a lower bound of the true peak."""
    peaks, updates = [], 0
    for server in record.servers:
        values = [moment.said.total(family) for moment in server.series[1:-1]]
        known = [value for value in values if value is not None]
        if not known:
            reason = "the run was too short to be sampled" if not values else _reason(record, family)
            return Metric.absent(name, reason, unit, _SOURCE)
        peaks.append(max(known))
        updates += len(known)
    if not peaks:
        return Metric.absent(name, _reason(record, family), unit, _SOURCE)
    if name == "kv_usage_peak" and max(peaks) == 0.0 and record.grown("vllm:generation_tokens"):
        return Metric.absent(name, f"none of the {updates} samples was taken during a step", unit, _SOURCE)
    window_s = max(server.series[-1].t_s - server.series[0].t_s for server in record.servers)
    return Metric(name, over_servers(peaks), unit, _SOURCE, window_s=window_s, updates=updates)


def _prefix_hits(record: EngineRecord) -> Metric:
    asked, hit = record.grown("vllm:prefix_cache_queries"), record.grown("vllm:prefix_cache_hits")
    if asked is None or hit is None:
        return Metric.absent("prefix_hit_share", _reason(record, "vllm:prefix_cache_queries"), "", _SOURCE)
    if asked <= 0:
        return Metric.absent("prefix_hit_share", "the prefix cache was not used", "", _SOURCE)
    return Metric("prefix_hit_share", hit / asked, "", _SOURCE)


def _reason(record: EngineRecord, family: str) -> str:
    return record.trouble or f"/metrics has no {family}"
