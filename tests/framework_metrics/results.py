"""What tests ask of a collector's result, and what a result has to agree with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from framework.contracts import Collector, Metric, Result, RunContext, RunWindow
from framework_metrics.sampling.recording import read_recording
from tests.docs.pages import documented_checks
from tests.support.waiting import wait_for

DOCUMENTED_CHECKS = documented_checks("measuring.md", "Sanity checks")

TICK_S = 0.02
"""Period of the fake NVML's energy counter where a test sets no other."""


def metric(result: Result, name: str) -> Metric:
    """Return one metric of a result."""
    return next(item for item in result.metrics if item.name == name)


def verdict(result: Result, name: str) -> tuple[str, str]:
    """Return verdict and detail of one check of a result."""
    return next((item.verdict, item.detail) for item in result.checks if item.name == name)


def sampled(result: Result, name: str) -> tuple[list[float], list[float]]:
    """Return (times, values) of one series of a result."""
    rows = [row for row in result.tables["samples"].to_pylist() if row["name"] == name]
    return [row["t_s"] for row in rows], [row["value"] for row in rows]


def unseen_s(result: Result, series: str = "gpu_energy_j", tick_s: float = TICK_S) -> float:
    """Return by how much time a sampled quantity may be off: a tick of its counter and the longest gap at each end.

    On a busy machine the gaps are longer; so a test that allows for them does not depend on the machine.
    """
    return tick_s + 2 * float(np.max(np.diff(sampled(result, series)[0])))


def readings(folder: Path) -> list[float]:
    """Return when the sampler that writes to a folder has read so far (s, monotonic clock)."""
    return [float(t_s) for file in folder.glob("*.samples.jsonl") for t_s in read_recording(file, None).t_s]


@dataclass(frozen=True)
class FakeGpus:
    """What the fake NVML of a test says of itself: files that it writes."""

    began: Path
    mark: Path

    def began_s(self) -> float:
        """Return the time from which its power and energy count (s, monotonic clock)."""
        return float(self.began.read_text())

    def stuck(self) -> bool:
        """Return whether it hangs or has crashed."""
        return self.mark.exists()


@dataclass
class Around:
    """Runs a collector around a run, as the core would.

    Attributes:
        scratch: folder of the run.
        window: of the latest run.
    """

    scratch: Path
    window: RunWindow = field(default_factory=RunWindow)

    def __call__(
        self,
        collector: Collector,
        count: int = 5,
        *,
        config: Mapping[str, Any] | None = None,
        before: int = 0,
        stated: bool = True,
        until: Callable[[], bool] | None = None,
        length_s: float | None = None,
    ) -> Result:
        """Return the result of a run that lasts `count` readings, however long they take.

        Args:
            collector: to start and stop.
            count: readings to wait for.
            config: of the run.
            before: readings before the run begins.
            stated: the backend says when the run began and ended.
            until: what to wait for in place of readings.
            length_s: what the backend says of the run's length, whenever it ended in truth.
        """
        context = RunContext("run", config or {}, 0, self.scratch)
        self.window = context.window
        collector.start(context)
        wait_for(lambda: len(readings(self.scratch)) >= before)
        begin_s, seen = time.monotonic(), len(readings(self.scratch))
        wait_for(until or (lambda: len(readings(self.scratch)) >= seen + count))
        if stated:
            end_s = time.monotonic() if length_s is None else begin_s + length_s
            context.window.begin_s, context.window.end_s = begin_s, end_s
        result = collector.stop()
        assert {check.name for check in result.checks} <= DOCUMENTED_CHECKS
        return result
