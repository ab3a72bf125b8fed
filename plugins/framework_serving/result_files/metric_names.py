"""The one table between the names of other tools' results and ours.

A quantity is mapped only if it is defined as ours is (docs/serving_metrics.md). Two words mean different things:

- *ITL*: `vllm bench serve`, SGLang and inference-perf pool the gaps of all tokens, as we do. GuideLLM averages a
  request's gaps first and weighs requests by their gaps: the mean is ours, the percentiles are not. AIPerf and
  genai-perf give the distribution over requests of (latency − TTFT) / (tokens − 1): that is our TPOT.
- *TPOT*: GuideLLM's `time_per_output_token_ms` counts the first token, ours and vLLM's does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from framework_serving.metrics.metric_definitions import UNITS

_STATISTICS = {"mean": "mean", "median": "p50", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
_SUFFIX_UNITS = {
    "_ms": "ms",
    "tok_s": "tok/s",
    "requests_s": "1/s",
    "_s": "s",
    "_pct": "%",
    "_w": "W",
    "_j": "J",
}

INPUT_TOTAL, OUTPUT_TOTAL, FAILED, PROMPTS = (
    "input_tokens_total",
    "output_tokens_total",
    "failed",
    "prompts_sent",
)
"""Counts that the checks use; no metrics of a result of ours."""

PARALLELISM = {"tp": "tensor_parallel", "pp": "pipeline_parallel", "dp": "data_parallel"}
"""Word of a report for how an engine is spread over GPUs, and the key of `backend`."""

BENCH_SERVE: dict[str, str] = {
    "duration": "duration_s",
    "completed": "completed",
    "failed": FAILED,
    "num_prompts": PROMPTS,
    "total_input_tokens": INPUT_TOTAL,
    "total_input": INPUT_TOTAL,
    "total_output_tokens": OUTPUT_TOTAL,
    "total_output": OUTPUT_TOTAL,
    "request_throughput": "requests_s",
    "output_throughput": "output_tok_s",
    "total_token_throughput": "total_tok_s",
    "total_throughput": "total_tok_s",
    "request_goodput": "goodput_requests_s",
    "request_goodput:": "goodput_requests_s",
    "max_output_tokens_per_s": "output_tok_s_peak",
    **{
        f"{theirs}_{quantity}_ms": f"{name}_{ours}_ms"
        for theirs, ours in _STATISTICS.items()
        for quantity, name in (
            *(("ttft", "ttft"), ("tpot", "tpot"), ("itl", "itl")),
            *(("e2el", "e2e"), ("e2e_latency", "e2e")),
        )
    },
}
"""`vllm bench serve` (0.6 with its key `request_goodput:`, and later) and SGLang's `bench_serving`."""

BENCH_THROUGHPUT: dict[str, str] = {
    "elapsed_time": "duration_s",
    "num_requests": "completed",
    "total_num_tokens": "tokens_total",
    "requests_per_second": "requests_s",
    "tokens_per_second": "total_tok_s",
}
"""`vllm bench throughput`."""

AIPERF: dict[str, str] = {
    "request_throughput": "requests_s",
    "output_token_throughput": "output_tok_s",
    "total_token_throughput": "total_tok_s",
    "request_count": "completed",
    "error_request_count": FAILED,
    "benchmark_duration": "duration_s",
    "total_isl": INPUT_TOTAL,
    "total_osl": OUTPUT_TOTAL,
    "goodput": "goodput_requests_s",
    "request_goodput": "goodput_requests_s",
    "time_to_first_token": "ttft",
    "request_latency": "e2e",
    "inter_token_latency": "tpot",
    "input_sequence_length": "input_tokens",
    "output_sequence_length": "output_tokens",
}
"""AIPerf and genai-perf: scalars have one value (`avg`), `ttft`, `e2e`, `tpot` and the lengths a distribution."""

AIPERF_STATISTICS = {"avg": "mean", "p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}

GUIDELLM: dict[str, str] = {
    "requests_per_second": "requests_s",
    "output_tokens_per_second": "output_tok_s",
    "tokens_per_second": "total_tok_s",
    "time_to_first_token_ms": "ttft",
    "request_latency": "e2e",
    "inter_token_latency_ms": "itl",
    "prompt_token_count": "input_tokens",
    "output_token_count": "output_tokens",
    "request_goodput": "goodput_requests_s",
}

LATENCIES_S: dict[str, str] = {
    "request_latency": "e2e",
    "time_to_first_token": "ttft",
    "time_per_output_token": "tpot",
    "inter_token_latency": "itl",
}
"""inference-perf (seconds) and llm-d's benchmark report (a unit beside the numbers)."""

RATES: dict[str, str] = {
    "requests_per_sec": "requests_s",
    "output_tokens_per_sec": "output_tok_s",
    "total_tokens_per_sec": "total_tok_s",
    "request_rate": "requests_s",
    "output_token_rate": "output_tok_s",
    "total_token_rate": "total_tok_s",
}

SECONDS: Mapping[str, float] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "s/token"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds", "ms/token"), 0.001),
    **dict.fromkeys(("us", "µs", "microseconds"), 1e-06),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-09),
}
"""Seconds in a unit, by the words that result files use."""


def statistic(theirs: str) -> str | None:
    """Return our suffix of a statistic (`median` → `p50`); None for one that we have no name for."""
    return _STATISTICS.get(theirs)


def unit_of(name: str) -> str:
    """Return the unit of a metric: of its definition, else what its name ends with says."""
    defined = UNITS.get(name)
    if defined is not None:
        return defined
    return next((unit for suffix, unit in _SUFFIX_UNITS.items() if name.endswith(suffix)), "")
