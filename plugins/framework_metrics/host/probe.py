"""The probe of `metrics=host`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import psutil

from framework_metrics.host.process_tree import ProcessTree
from framework_metrics.host.task_clock import TaskClock
from framework_metrics.sampling.probe import Opened, Reading, UnavailableError

TREE_PERIOD_S = 1.0
"""Between two looks for new processes."""

COLUMNS = ("host_cpu_pct", "host_memory_used_mib", "run_cpu_s", "run_rss_mib")


class HostProbe:
    """CPU and memory of the host and of the run's processes.

    Args:
        run_pid: the run's process.
        perf: whether to count its CPU time by a perf event too.
    """

    def __init__(self, run_pid: int, perf: bool) -> None:
        self._tree, self._perf = ProcessTree(run_pid), perf
        self._clock: TaskClock | None = None

    def open(self) -> Opened:
        """Look at the host and the tree once."""
        absent: dict[str, str] = {}
        try:
            if not self._perf:
                raise UnavailableError("switched off (metrics.host.perf=false)")
            self._clock = TaskClock(self._tree.root)
        except UnavailableError as missing:
            absent["run_task_clock_s"] = str(missing)
        psutil.cpu_percent()  # the first answer is a meaningless 0; later ones are since the call before
        self._find()
        facts = {"cores": psutil.cpu_count(), "memory_gib": psutil.virtual_memory().total / 2**30}
        columns = [*COLUMNS, *(["run_task_clock_s"] if self._clock else [])]
        time.sleep(0.02)
        return Opened(columns, absent, facts)

    def read(self) -> Sequence[Reading]:
        """Return one reading a column."""
        if time.monotonic() - self._found_s >= TREE_PERIOD_S:
            self._find()
        self._tree.measure()
        memory = psutil.virtual_memory()
        row: list[Reading] = [
            psutil.cpu_percent(),
            (memory.total - memory.available) / 2**20,
            self._tree.cpu_s,
            self._tree.rss_mib,
        ]
        if self._clock:
            try:
                row.append(self._clock.read_s())
            except OSError as error:
                row.append(UnavailableError(f"perf event task-clock: {error.strerror}"))
        return row

    def close(self) -> dict[str, Any]:
        """Return what each process used."""
        if self._clock:
            self._clock.close()
        return {"processes": [asdict(use) for use in self._tree.seen.values()]}

    def _find(self) -> None:
        self._found_s = time.monotonic()
        self._tree.find()
