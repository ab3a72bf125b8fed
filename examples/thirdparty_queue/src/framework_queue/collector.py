"""A metrics collector: CPU time and memory of the process around a run. A true measurement, of any backend."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pyarrow as pa

from framework.contracts import Metric, Result, RunContext

_STATM = Path("/proc/self/statm")


class ProcessCollector:
    """Samples resident memory in a thread, and reads the CPU clock at both ends.

    It may raise in `start` or `stop`: the run goes on, and the metrics named in `metric_names` are absent with
    the reason. It must never report 0 for what it could not see.
    """

    metric_names = ("process_cpu_s", "process_rss_peak_mib")

    def __init__(self, period_s: float = 0.05) -> None:
        self.period_s = period_s
        self._samples: list[tuple[float, float]] = []
        self._stop = threading.Event()

    def start(self, context: RunContext) -> None:
        """Begin to sample."""
        self._cpu_s, self._begin_s = time.process_time(), time.monotonic()
        self._thread = threading.Thread(target=self._sample, name="process collector", daemon=True)
        self._thread.start()

    def stop(self) -> Result:
        """End sampling; return CPU time, peak memory and the samples behind it."""
        cpu_s = time.process_time() - self._cpu_s
        self._stop.set()
        self._thread.join()
        window_s = time.monotonic() - self._begin_s
        times, memory = zip(*self._samples, strict=True) if self._samples else ((), ())
        samples = pa.table(
            {
                "t_s": pa.array(times, pa.float64()),
                "name": pa.array(["process_rss_mib"] * len(times), pa.string()),
                "value": pa.array(memory, pa.float64()),
            }
        )
        if memory:
            count = len(memory)
            peak = Metric(
                "process_rss_peak_mib", max(memory), "MiB", "proc", window_s=window_s, updates=count
            )
        else:
            peak = Metric.absent("process_rss_peak_mib", f"{_STATM} can't be read", "MiB", "proc")
        return Result([Metric("process_cpu_s", cpu_s, "s", "process clock"), peak], {"samples": samples})

    def _sample(self) -> None:
        while True:
            memory_mib = _resident_mib()
            if memory_mib is not None:
                self._samples.append((time.monotonic() - self._begin_s, memory_mib))
            if self._stop.wait(self.period_s):
                return


def _resident_mib() -> float | None:
    """Return the resident memory of this process (MiB), None where the system does not report it."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
