"""From a recording of NVML to metrics and series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from framework.contracts import Metric
from framework_metrics.nvml.quantities import ADDITIVE
from framework_metrics.sampling.integral import Integral, NotCoveredError, integrate
from framework_metrics.sampling.recording import Recording, Series
from framework_metrics.sampling.window import Window

SOURCE = "nvml"


@dataclass(frozen=True)
class Summary:
    """How a scalar metric comes from a sampled quantity.

    Attributes:
        metric: its name.
        quantity: the column, without the device's label.
        unit: of the metric.
        over_time: mean over time, or the largest sample.
        over_gpus: how the GPUs of a run come together.
        scale: from the column's unit to the metric's.
    """

    metric: str
    quantity: str
    unit: str
    over_time: Literal["mean", "peak"] = "mean"
    over_gpus: Literal["mean", "sum", "max"] = "mean"
    scale: float = 1.0


SUMMARIES = (
    Summary("gpu_util_mean_pct", "util_pct", "%"),
    Summary("gpu_memory_util_mean_pct", "memory_util_pct", "%"),
    Summary("gpu_memory_used_peak_gib", "memory_used_mib", "GiB", "peak", "sum", 1 / 1024),
    Summary("gpu_sm_clock_mean_mhz", "sm_clock_mhz", "MHz"),
    Summary("gpu_memory_clock_mean_mhz", "memory_clock_mhz", "MHz"),
    Summary("gpu_power_peak_w", "power_w", "W", "peak", "sum"),
    Summary("gpu_temperature_max_c", "temperature_c", "°C", "peak", "max"),
    Summary("gpu_memory_temperature_max_c", "memory_temperature_c", "°C", "peak", "max"),
    Summary("gpu_pcie_tx_mean_mib_s", "pcie_tx_mib_s", "MiB/s", "mean", "sum"),
    Summary("gpu_pcie_rx_mean_mib_s", "pcie_rx_mib_s", "MiB/s", "mean", "sum"),
    Summary("gpu_sm_active_mean_pct", "sm_active_pct", "%"),
    Summary("gpu_sm_occupancy_mean_pct", "sm_occupancy_pct", "%"),
    Summary("gpu_tensor_active_mean_pct", "tensor_active_pct", "%"),
    Summary("gpu_dram_active_mean_pct", "dram_active_pct", "%"),
)

POWER_MEAN = Summary("power_mean_w", "power_w", "W", "mean", "sum")
"""Only where `metrics=energy`, which knows better, was not chosen."""

_COMBINED: dict[str, Callable[[Sequence[float]], Any]] = {"mean": np.mean, "sum": np.sum, "max": np.max}

METRIC_NAMES = (*(summary.metric for summary in SUMMARIES), "gpu_throttled_share")


def metrics_of(
    recording: Recording, window: Window, with_power: bool, source: str = SOURCE
) -> Iterator[Metric]:
    """Yield every metric, as a value with its window and updates or as absent with the reason."""
    for summary in (*SUMMARIES, POWER_MEAN) if with_power else SUMMARIES:
        yield _summarised(recording, window, summary, source)
    yield _throttled_share(recording, window, source)


def _summarised(recording: Recording, window: Window, summary: Summary, source: str) -> Metric:
    columns = columns_of(recording, summary.quantity)
    parts: list[Integral] = []
    peaks: list[float] = []
    for column in columns:
        series = recording.series(column)
        if series is None:
            return Metric.absent(summary.metric, recording.reason(column), summary.unit, source)
        try:
            parts.append(integrate(series.t_s, series.values, window))
        except NotCoveredError as gap:
            return Metric.absent(summary.metric, recording.explained(column, gap), summary.unit, source)
        inside = window.holds(series.t_s)
        peaks.append(float(np.max(series.values[inside], initial=-np.inf)))
    combined = _COMBINED[summary.over_gpus]
    updates = min(part.samples for part in parts)
    if updates == 0:
        return Metric.absent(summary.metric, "no sample within the run", summary.unit, source)
    if summary.over_time == "peak":
        value, low, high = summary.scale * float(combined(peaks)), None, None
    else:
        value, low, high = (
            summary.scale * float(combined([getattr(part, bound) for part in parts])) / window.length_s
            for bound in ("value", "low", "high")
        )
    return Metric(summary.metric, value, summary.unit, source, None, low, high, window.length_s, updates)


def columns_of(recording: Recording, quantity: str) -> list[str]:
    """Return the columns of a quantity, one a device or board of the run, read or not."""
    known = [*recording.columns, *recording.absent]
    found = [column for column in known if column.partition(".")[2] == quantity]
    return sorted(found) or [quantity]


def _throttled_share(recording: Recording, window: Window, source: str) -> Metric:
    """Return the share of samples in which a GPU was held back for another reason than having nothing to do."""
    from framework_metrics.nvml.verdicts import IDLE

    name, flags = "gpu_throttled_share", []
    for column in columns_of(recording, "throttle_reasons"):
        series = recording.series(column)
        if series is None:
            return Metric.absent(name, recording.reason(column), "", source)
        inside = window.holds(series.t_s)
        flags.append(series.values[inside].astype(np.int64) & ~IDLE != 0)
    share = np.concatenate(flags)
    if not share.size:
        return Metric.absent(name, "no sample within the run", "", source)
    updates = min(len(part) for part in flags)
    return Metric(name, float(share.mean()), "", source, window_s=window.length_s, updates=updates)


def named_series(recording: Recording) -> dict[str, Series]:
    """Return the series under the names of `samples`.

    With one GPU `gpu_power_w`. With several `gpu0_power_w`, `gpu1_power_w` (the number is NVML's index, a MIG
    instance is `gpu0mig1_…`), and what adds up also as its sum, `gpu_power_w`.
    """
    labels = {column.partition(".")[0] for column in recording.columns}
    devices: Sequence[Any] = recording.facts.get("gpus", [])
    found = {column: series for column in recording.columns if (series := recording.series(column))}
    if len(devices) <= 1:
        return {f"gpu_{column.partition('.')[2]}": series for column, series in found.items()}
    named = {column.replace(".", "_"): series for column, series in found.items()}
    for quantity in ADDITIVE:
        columns = [f"{label}.{quantity}" for label in labels if f"{label}.{quantity}" in recording.columns]
        places = [recording.columns.index(column) for column in columns]
        total = recording.values[:, places].sum(axis=1)
        known = np.isfinite(total)
        if places and known.any():
            named[f"gpu_{quantity}"] = Series(recording.t_s[known], total[known])
    return named
