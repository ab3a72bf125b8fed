"""What each serving metric means; `docs/serving_metrics.md` says it at length and a test compares the two."""

from __future__ import annotations

from dataclasses import replace

from framework.contracts import Better, MetricDefinition

PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99}
"""Percentiles of every latency, by the part of a metric's name."""

_STATISTICS = {
    "mean": "mean",
    "p50": "median",
    **{key: f"{percent}th percentile" for key, percent in PERCENTILES.items() if percent != 50},
}

UNITS: dict[str, str] = {}
"""Unit by metric name."""


def _latency(name: str, what: str) -> list[MetricDefinition]:
    return [
        MetricDefinition(f"{name}_{key}_ms", "ms", f"{word} {what}", "lower")
        for key, word in _STATISTICS.items()
    ]


def _metric(name: str, unit: str, description: str, better: Better = "none") -> MetricDefinition:
    return MetricDefinition(name, unit, description, better)


_HEADLINES = {"total_tok_s", "itl_mean_ms", "ttft_mean_ms", "kv_usage_peak", "energy_j_per_token"}

_DEFINED: tuple[MetricDefinition, ...] = (
    _metric("duration_s", "s", "first arrival to the last token, or to the time the run was cut"),
    _metric("completed", "requests", "requests served to their last token", "higher"),
    _metric(
        "total_tok_s", "tok/s", "input + output tokens of finished requests per second of the run", "higher"
    ),
    _metric("output_tok_s", "tok/s", "output tokens of finished requests per second of the run", "higher"),
    _metric("requests_s", "1/s", "finished requests per second of the run", "higher"),
    _metric("output_tok_s_per_gpu", "tok/s", "output tokens per second and GPU", "higher"),
    _metric(
        "output_tok_s_per_user",
        "tok/s",
        "output tokens per second that a user sees: mean over finished requests of 1 / time per output token",
        "higher",
    ),
    _metric(
        "output_tok_s_peak",
        "tok/s",
        "output tokens of finished requests per second in the busiest of equal parts of at most 1 s",
        "higher",
    ),
    *_latency("ttft", "time from arrival to the first token, finished requests"),
    _metric(
        "ttft_censored_ms",
        "ms",
        "mean time to first token, where an unfinished request counts with the duration of the run",
        "lower",
    ),
    *_latency("itl", "gap between successive tokens, all gaps of all finished requests pooled"),
    *_latency("tpot", "time per output token after the first, over finished requests"),
    *_latency("e2e", "time from arrival to the last token, finished requests"),
    _metric("goodput_requests_s", "1/s", "finished requests per second that met every SLO", "higher"),
    _metric("slo_share", "", "share of all requests that finished and met every SLO, 0 to 1", "higher"),
    _metric("steady_s", "s", "length of the steady part of the run, apart from its ramp and its tail"),
    _metric("steady_output_tok_s", "tok/s", "output tokens per second of the steady part", "higher"),
    _metric("steady_running_mean", "requests", "running requests, mean over the steady part"),
    _metric(
        "steady_ttft_mean_ms",
        "ms",
        "mean time to first token of finished requests that arrived in the steady part",
        "lower",
    ),
    _metric(
        "steady_tpot_mean_ms",
        "ms",
        "mean time per output token of finished requests that arrived in the steady part",
        "lower",
    ),
    _metric("kv_usage_peak", "", "largest share of the KV cache in use, 0 to 1, largest over replicas"),
    _metric(
        "kv_cache_gib",
        "GiB",
        "memory reserved for the KV cache, summed over replicas and data-parallel ranks",
    ),
    _metric(
        "running_mean",
        "requests",
        "running requests, mean over the time with any running request, summed over replicas",
    ),
    _metric("running_peak", "requests", "most requests running at once, summed over replicas"),
    _metric("waiting_peak", "requests", "longest queue, summed over replicas", "lower"),
    _metric("prefix_hit_share", "", "share of prompt tokens found in the prefix cache, 0 to 1", "higher"),
    _metric(
        "preemptions", "", "number of times that a running request was removed from the KV cache", "lower"
    ),
    _metric("power_mean_w", "W", "mean power of the accelerator over the run"),
    _metric("energy_j", "J", "energy of the accelerator over the run", "lower"),
    _metric("energy_j_per_token", "J/token", "energy per input + output token of finished requests", "lower"),
    _metric("energy_j_per_output_token", "J/token", "energy per output token of finished requests", "lower"),
    _metric("energy_j_per_request", "J", "energy per finished request", "lower"),
    _metric(
        "energy_delay_js", "J·s", "energy per finished request times mean time from arrival to end", "lower"
    ),
    _metric("power_steady_w", "W", "mean power while at least 0.9 of the largest number of requests runs"),
    _metric(
        "tok_s_per_w",
        "tok/s/W",
        "input + output tokens per second and watt, during the time with a full batch",
        "higher",
    ),
    _metric("starved", "", "1 if less than 0.9 of the requested tokens were served, else 0", "lower"),
    _metric(
        "adapters_starved",
        "",
        "adapters for which less than 0.9 of the requested tokens were served",
        "lower",
    ),
    _metric("fairness_jain", "", "Jain's index of the adapters' shares of served tokens, 1/n to 1", "higher"),
)

SERVING_METRICS = tuple(replace(metric, headline=metric.name in _HEADLINES) for metric in _DEFINED)

UNITS.update({definition.name: definition.unit for definition in SERVING_METRICS})
