"""What each metric of the collectors means; `docs/measuring.md` says it at length and a test compares the two.

`power_mean_w` and `energy_j` are serving's (`docs/serving_metrics.md`): a model may report them too.
"""

from __future__ import annotations

from framework.contracts import MetricDefinition

NVML_METRICS = (
    MetricDefinition(
        "gpu_util_mean_pct", "%", "share of time with any kernel running, mean over the run's GPUs"
    ),
    MetricDefinition(
        "gpu_memory_util_mean_pct", "%", "share of time in which memory was read or written, mean over GPUs"
    ),
    MetricDefinition("gpu_memory_used_peak_gib", "GiB", "largest sample of used memory, summed over GPUs"),
    MetricDefinition("gpu_sm_clock_mean_mhz", "MHz", "mean clock of the SMs"),
    MetricDefinition("gpu_memory_clock_mean_mhz", "MHz", "mean clock of the memory"),
    MetricDefinition("gpu_power_peak_w", "W", "largest sample of power, summed over GPUs"),
    MetricDefinition("gpu_temperature_max_c", "°C", "highest sample of the GPUs' temperature"),
    MetricDefinition("gpu_memory_temperature_max_c", "°C", "highest sample of the memories' temperature"),
    MetricDefinition("gpu_pcie_tx_mean_mib_s", "MiB/s", "PCIe traffic from the GPUs, summed"),
    MetricDefinition("gpu_pcie_rx_mean_mib_s", "MiB/s", "PCIe traffic to the GPUs, summed"),
    MetricDefinition(
        "gpu_sm_active_mean_pct", "%", "SMs with work, mean over SMs, time and GPUs (GPM)", "higher"
    ),
    MetricDefinition(
        "gpu_sm_occupancy_mean_pct", "%", "active warps, share of the largest possible number (GPM)"
    ),
    MetricDefinition("gpu_tensor_active_mean_pct", "%", "share of time in which tensor cores computed (GPM)"),
    MetricDefinition("gpu_dram_active_mean_pct", "%", "used DRAM bandwidth, share of the peak (GPM)"),
    MetricDefinition(
        "gpu_throttled_share",
        "",
        "share of samples with a reduced clock, for reasons other than idleness",
        "lower",
    ),
)

ENERGY_METRICS = (
    MetricDefinition(
        "gpu_idle_w", "W", "mean power of the idle GPUs; the source says whether a model was loaded"
    ),
    MetricDefinition(
        "carbon_g",
        "g",
        "energy_j times what a kWh emits on the grid that was named (CO2-equivalent)",
        "lower",
    ),
    MetricDefinition(
        "energy_above_idle_j", "J", "energy of the run minus idle power times its duration", "lower"
    ),
    MetricDefinition("cpu_energy_j", "J", "energy of all CPU packages over the run, by RAPL", "lower"),
    MetricDefinition("dram_energy_j", "J", "energy of the host's DRAM over the run, by RAPL", "lower"),
)

RECORDED_METRICS = (
    MetricDefinition(
        "energy_busy_j", "J", "recorded series: energy from the first sample with work to the last", "lower"
    ),
    MetricDefinition(
        "energy_total_j", "J", "energy of GPUs, CPU and memory together, by CodeCarbon", "lower"
    ),
    MetricDefinition("power_busy_mean_w", "W", "recorded series: mean power over the same time"),
)

HOST_METRICS = (
    MetricDefinition("host_cpu_mean_pct", "%", "CPU use of the machine; 100 % means that all cores are busy"),
    MetricDefinition("host_memory_used_peak_gib", "GiB", "largest sample of memory that is not available"),
    MetricDefinition("run_cpu_s", "s", "CPU time of the run's processes that were sampled", "lower"),
    MetricDefinition("run_cpu_mean_cores", "cores", "cores used by the run's processes, mean over time"),
    MetricDefinition(
        "run_rss_peak_gib", "GiB", "largest sample of the resident memory of the run's processes"
    ),
    MetricDefinition(
        "run_task_clock_s", "s", "CPU time of the run's processes, counted by the kernel", "lower"
    ),
)

MACHINE_METRICS = (*NVML_METRICS, *ENERGY_METRICS, *RECORDED_METRICS, *HOST_METRICS)
