"""Names of vLLM's metric families across versions, and the samples of this project that they represent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "vllm:"

RENAMED = {
    "vllm:gpu_cache_usage_perc": "vllm:kv_cache_usage_perc",
    "vllm:time_per_output_token_seconds": "vllm:inter_token_latency_seconds",
    "vllm:gpu_prefix_cache_queries": "vllm:prefix_cache_queries",
    "vllm:gpu_prefix_cache_hits": "vllm:prefix_cache_hits",
    "vllm:time_in_queue_requests": "vllm:request_queue_time_seconds",
}
"""Old family name (without `_total`) to vLLM 0.32's, which this project uses; everything is read through it."""


@dataclass(frozen=True)
class CanonicalSeries:
    """A series of `samples` with a name that every backend uses.

    Attributes:
        name: in `samples`.
        family: of vLLM.
        over_replicas: how the values of several replicas become one.
    """

    name: str
    family: str
    over_replicas: Literal["sum", "max"]


CANONICAL = (
    CanonicalSeries("running", "vllm:num_requests_running", "sum"),
    CanonicalSeries("waiting", "vllm:num_requests_waiting", "sum"),
    CanonicalSeries("kv_usage", "vllm:kv_cache_usage_perc", "max"),
    CanonicalSeries("preemptions", "vllm:num_preemptions", "sum"),
)

SAME_FOR_ALL = ("engine", "model_name")
"""Labels that do not distinguish the series of one server; left out of names."""


@dataclass(frozen=True)
class HistogramMean:
    """A metric that is the mean of a histogram of seconds over the run."""

    metric: str
    family: str


HISTOGRAM_MEANS = (
    HistogramMean("engine_ttft_mean_ms", "vllm:time_to_first_token_seconds"),
    HistogramMean("engine_itl_mean_ms", "vllm:inter_token_latency_seconds"),
    HistogramMean("engine_tpot_mean_ms", "vllm:request_time_per_output_token_seconds"),
    HistogramMean("engine_e2e_mean_ms", "vllm:e2e_request_latency_seconds"),
    HistogramMean("engine_queue_mean_ms", "vllm:request_queue_time_seconds"),
    HistogramMean("engine_prefill_mean_ms", "vllm:request_prefill_time_seconds"),
    HistogramMean("engine_decode_mean_ms", "vllm:request_decode_time_seconds"),
)


def family_name(name: str) -> str:
    """Return the name under which a family of any version is kept."""
    return RENAMED.get(name, name)
