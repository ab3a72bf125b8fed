"""`metrics=host`: CPU and memory of the host and of the run's processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from framework.contracts import Metric, Result, RunContext
from framework_metrics.sampling.sampling_session import SamplingSession, sampling_facts
from framework_metrics.settings import checked_period

if TYPE_CHECKING:
    import pyarrow as pa

    from framework_metrics.sampling.recording import Recording
    from framework_metrics.sampling.window import Window

SOURCE, PERF = "psutil", "perf task-clock"
PROCESS_COLUMNS = ("pid", "name", "command", "cpu_s", "rss_peak_mib", "threads")


class HostCollector:
    """Samples the host and the run's process tree (load client, servers, simulator).

    Metrics: `docs/measuring.md`. Series: `host_cpu_pct`, `host_memory_used_mib`, `run_rss_mib`,
    `run_cpu_s` and `run_task_clock_s` (growing). Table `host_processes`: one row a process of the run.
    """

    metric_names = (
        "host_cpu_mean_pct",
        "host_memory_used_peak_gib",
        "run_cpu_s",
        "run_cpu_mean_cores",
        "run_rss_peak_gib",
        "run_task_clock_s",
    )

    def __init__(self, period_s: float = 0.5, perf: bool = True) -> None:
        self._period_s, self._perf = checked_period("host", period_s), perf

    def start(self, context: RunContext) -> None:
        """Begin to sample."""
        settings = {"run_pid": os.getpid(), "perf": self._perf}
        probe = "framework_metrics.host.probe:HostProbe"
        self._session = SamplingSession("host", probe, settings, self._period_s, context)

    def stop(self) -> Result:
        """End sampling; return metrics over the run's window, the series and the processes."""
        from framework_metrics.sampling.samples import sample_rows

        recording, window = self._session.stop()
        found = {name: series for name in recording.columns if (series := recording.series(name))}
        return Result(
            metrics=list(_metrics(recording, window)),
            tables={
                "samples": sample_rows(found, window.begin_s),
                "host_processes": _processes(recording),
            },
            facts={
                "cores": recording.facts.get("cores"),
                "memory_gib": recording.facts.get("memory_gib"),
                **sampling_facts(recording, window),
            },
            checks=list(self._session.checks(recording)),
        )


def _metrics(recording: Recording, window: Window) -> Iterator[Metric]:
    yield _mean(recording, window, "host_cpu_mean_pct", "host_cpu_pct", "%")
    yield _peak(recording, window, "host_memory_used_peak_gib", "host_memory_used_mib")
    used = _growth(recording, window, "run_cpu_s", "run_cpu_s", SOURCE)
    yield used
    if used.value is None:
        yield Metric.absent("run_cpu_mean_cores", used.reason or "", "cores", SOURCE)
    else:
        cores = used.value / window.length_s
        yield Metric(
            "run_cpu_mean_cores", cores, "cores", SOURCE, window_s=window.length_s, updates=used.updates
        )
    yield _peak(recording, window, "run_rss_peak_gib", "run_rss_mib")
    yield _growth(recording, window, "run_task_clock_s", "run_task_clock_s", PERF)


def _mean(recording: Recording, window: Window, name: str, column: str, unit: str) -> Metric:
    from framework_metrics.sampling.integral import NotCoveredError, integrate

    series = recording.series(column)
    if series is None:
        return Metric.absent(name, recording.reason(column), unit, SOURCE)
    try:
        found = integrate(series.t_s, series.values, window)
    except NotCoveredError as gap:
        return Metric.absent(name, recording.explained(column, gap), unit, SOURCE)
    low, high = found.low / found.window_s, found.high / found.window_s
    return Metric(name, found.mean, unit, SOURCE, None, low, high, found.window_s, found.samples)


def _peak(recording: Recording, window: Window, name: str, column: str) -> Metric:
    series = recording.series(column)
    if series is None:
        return Metric.absent(name, recording.reason(column), "GiB", SOURCE)
    inside = window.holds(series.t_s)
    if not inside.any():
        return Metric.absent(name, "no sample within the run", "GiB", SOURCE)
    peak_gib = float(series.values[inside].max()) / 1024
    return Metric(name, peak_gib, "GiB", SOURCE, window_s=window.length_s, updates=int(inside.sum()))


def _growth(recording: Recording, window: Window, name: str, column: str, source: str) -> Metric:
    """Return by how much a growing quantity grew within the window, linear between readings."""
    import numpy as np

    from framework_metrics.sampling.integral import NotCoveredError, require_cover

    series = recording.series(column)
    if series is None or len(series.t_s) < 2:
        return Metric.absent(name, recording.reason(column), "s", source)
    try:
        require_cover(series.t_s, window, float(np.median(np.diff(series.t_s))))
    except NotCoveredError as gap:
        return Metric.absent(name, recording.explained(column, gap), "s", source)
    begin, end = np.interp([window.begin_s, window.end_s], series.t_s, series.values)
    inside = int(window.holds(series.t_s).sum())
    return Metric(name, float(end - begin), "s", source, window_s=window.length_s, updates=inside)


def _processes(recording: Recording) -> pa.Table:
    import pyarrow as pa

    from framework_metrics.host.tables import host_processes

    rows = [{name: use[name] for name in PROCESS_COLUMNS} for use in recording.facts.get("processes", [])]
    return pa.Table.from_pylist(rows, schema=host_processes())
