"""What each metric of Nsight means; `docs/nsight.md` says it at length and a test compares the two."""

from __future__ import annotations

from framework.contracts import MetricDefinition

SHARED_KINDS = ("attention", "matmul", "elementwise", "sampling", "memcpy", "communication", "other")
"""Classes of kernels that have a metric each; `gpu_time` holds all of them."""
COUNTED_KINDS = ("attention", "matmul")
"""Classes whose hardware counters have metrics; `gpu_kernel_counters` holds every kernel."""

_COUNTED = (
    ("flop_per_byte", "FLOP/byte", "arithmetic intensity: operations per byte of memory traffic"),
    ("tflops", "TFLOP/s", "operations per second of kernel time"),
    ("dram_tb_s", "TB/s", "memory traffic per second of kernel time"),
    ("l1_hit_pct", "%", "hit rate of the L1 cache, mean over kernel time"),
    ("l2_hit_pct", "%", "hit rate of the L2 cache, mean over kernel time"),
    ("memory_stall_share", "", "share of stalled warp time that waits for memory (long scoreboard)"),
)

TIMELINE_METRICS = (
    MetricDefinition(
        "nsight_window_s", "s", "time from the first GPU work to the last, or of the decode ranges"
    ),
    MetricDefinition("nsight_host_gap_share", "", "share of that time without any work on the GPU", "lower"),
    *(
        MetricDefinition(f"nsight_{kind}_share", "", f"share of that time in kernels of class {kind}")
        for kind in SHARED_KINDS
    ),
    MetricDefinition(
        "nsight_dram_read_pct", "%", "DRAM read bandwidth, share of the peak, mean over the trace"
    ),
    MetricDefinition(
        "nsight_dram_write_pct", "%", "DRAM write bandwidth, share of the peak, mean over the trace"
    ),
    MetricDefinition(
        "nsight_warps_in_flight_pct", "%", "active compute warps, share of the largest possible number, mean"
    ),
    MetricDefinition("nsight_sm_active_pct", "%", "SMs with work, mean over SMs and the trace"),
    MetricDefinition("nsight_tensor_active_pct", "%", "share of time in which tensor cores computed, mean"),
)

COUNTER_METRICS = tuple(
    MetricDefinition(f"nsight_{kind}_{name}", unit, f"{kind} kernels, profiled launches: {meaning}")
    for kind in COUNTED_KINDS
    for name, unit, meaning in _COUNTED
)

NSIGHT_METRICS = (*TIMELINE_METRICS, *COUNTER_METRICS)
NSIGHT_UNITS = {item.name: item.unit for item in NSIGHT_METRICS}
