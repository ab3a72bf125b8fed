"""Metrics that only a model can give: where the time of a step goes."""

from __future__ import annotations

from framework.contracts import MetricDefinition

SHARES: dict[str, tuple[str, ...]] = {
    "time_host_share": ("host", "scheduler"),
    "time_weights_share": ("weights",),
    "time_kv_share": ("kv",),
    "time_compute_share": ("compute",),
    "time_prefill_share": ("prefill",),
    "time_lora_share": ("lora", "adapter_load"),
    "time_idle_share": ("idle",),
}
"""Metric → components of the step-time law (and of the kernel) that it sums."""

_MEANINGS = {
    "time_host_share": "share of time in host work between kernels: scheduling, sampling, queue scans",
    "time_weights_share": "share of time reading weights",
    "time_kv_share": "share of time reading keys and values in decode attention",
    "time_compute_share": "share of time in matrix products (beyond reading weights, with prompts) and small kernels",
    "time_prefill_share": "share of other time of prompts: their attention, and launches outside CUDA graphs",
    "time_lora_share": "share of time in adapter kernels and adapter loads",
    "time_idle_share": "share of time without requests to compute",
}

TWIN_METRICS: tuple[MetricDefinition, ...] = (
    *(MetricDefinition(name, "", meaning) for name, meaning in _MEANINGS.items()),
    MetricDefinition(
        "dram_read_tb_s", "TB/s", "memory traffic per GPU: weights once per step, keys and values"
    ),
    MetricDefinition("adapter_loads", "", "adapters copied from host memory into a GPU slot", "lower"),
    MetricDefinition("adapter_disk_loads", "", "adapters read from disk into host memory", "lower"),
    MetricDefinition(
        "time_load_share",
        "",
        "share of time in adapter loads, disk included: part of time_lora_share",
        "lower",
    ),
    MetricDefinition(
        "time_scan_share",
        "",
        "share of time in passing over waiting requests while every slot is taken: part of time_host_share",
        "lower",
    ),
    MetricDefinition("kv_capacity_tokens", "tokens", "KV cache of a replica", "higher"),
    MetricDefinition("adapters_running_mean", "", "distinct adapters in the running batch, mean over time"),
)
