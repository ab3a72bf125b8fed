"""Small answers of `/metrics`, in the form of vLLM's."""

from __future__ import annotations

from collections.abc import Mapping


def exposition(
    running: float = 0.0,
    waiting: float = 0.0,
    usage: float = 0.0,
    preemptions: float = 0.0,
    tokens: float = 0.0,
    ttft_s: Mapping[float, float] | None = None,
    ttft_sum: float = 0.0,
) -> str:
    """Return an answer; `ttft_s` are cumulative counts by bound, the last one all."""
    labels = 'engine="0",model_name="tiny"'
    buckets = ttft_s or {0.1: 0.0, float("inf"): 0.0}
    lines = [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{labels}}} {running}",
        "# TYPE vllm:num_requests_waiting gauge",
        f"vllm:num_requests_waiting{{{labels}}} {waiting}",
        "# TYPE vllm:kv_cache_usage_perc gauge",
        f"vllm:kv_cache_usage_perc{{{labels}}} {usage}",
        "# TYPE vllm:num_preemptions_total counter",
        f"vllm:num_preemptions_total{{{labels}}} {preemptions}",
        "# TYPE vllm:num_preemptions_created gauge",
        f"vllm:num_preemptions_created{{{labels}}} 1.7e9",
        "# TYPE vllm:generation_tokens_total counter",
        f"vllm:generation_tokens_total{{{labels}}} {tokens}",
        "# TYPE vllm:request_success_total counter",
        f'vllm:request_success_total{{{labels},finished_reason="stop"}} 1.0',
        f'vllm:request_success_total{{{labels},finished_reason="length"}} 2.0',
        "# TYPE vllm:cache_config_info gauge",
        'vllm:cache_config_info{block_size="128",num_gpu_blocks="40"} 1.0',
        "# TYPE vllm:time_to_first_token_seconds histogram",
        *(
            f'vllm:time_to_first_token_seconds_bucket{{{labels},le="{str(bound).replace("inf", "+Inf")}"}} {count}'
            for bound, count in buckets.items()
        ),
        f"vllm:time_to_first_token_seconds_count{{{labels}}} {buckets[float('inf')]}",
        f"vllm:time_to_first_token_seconds_sum{{{labels}}} {ttft_sum}",
        "# TYPE process_open_fds gauge",
        "process_open_fds 34.0",
        'http_requests_total{handler="none"} 12.0',
    ]
    return "\n".join(lines) + "\n"
