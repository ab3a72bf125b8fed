"""A sampler next to one run: started with the collector, stopped with it, read over the run's own time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from framework.contracts import Json, RunContext, SanityCheck
from framework_metrics.sampling.process import SamplerProcess
from framework_metrics.sampling.recording import Recording
from framework_metrics.sampling.window import Window, measured_window

ALLOWED_MISSES = 0.05
"""Share of the planned samples that may be missed without a remark."""


class SamplingSession:
    """What the collectors that sample have in common.

    Args:
        name, probe, settings, period_s: of `SamplerProcess`.
        context: the run's; the backend fills in its window meanwhile.
    """

    def __init__(
        self, name: str, probe: str, settings: Mapping[str, Any], period_s: float, context: RunContext
    ) -> None:
        """Start the sampler. Raises `SamplerError` where there is nothing to sample."""
        self._name, self._stated = name, context.window
        self._sampler = SamplerProcess(name, probe, settings, period_s, context.scratch)
        self._sampler.start()
        self._started_s = time.monotonic()

    def idle(self, duration_s: float) -> Window:
        """Sample the idle machine for so long; the collector's own time begins after it."""
        begin_s = time.monotonic()
        time.sleep(duration_s)
        self._started_s = time.monotonic()
        return Window(begin_s, self._started_s)

    def stop(self) -> tuple[Recording, Window]:
        """End the sampler; return what it saw, and the time that is the run's."""
        stopped_s = time.monotonic()
        recording = self._sampler.stop()
        return recording, measured_window(self._stated, recording, self._started_s, stopped_s)

    def checks(self, recording: Recording) -> Iterator[SanityCheck]:
        """Yield a warning if the sampler ended early, or could not keep its schedule."""
        planned = (recording.missed or 0) + len(recording.t_s)
        if recording.ended_early:
            yield SanityCheck(f"{self._name}_sampler", "warn", recording.ended_early)
        elif recording.missed and recording.missed > ALLOWED_MISSES * planned:
            detail = (
                f"{recording.missed} of {planned} samples missed: the sensors took longer than the period"
            )
            yield SanityCheck(f"{self._name}_sampler", "warn", detail)


def sampling_facts(recording: Recording, window: Window) -> dict[str, Json]:
    """Return what a reader should know of any sampling."""
    return {
        "window": "run" if window.of_run else "collector",
        "window_s": window.length_s,
        "samples": len(recording.t_s),
        "missed_samples": recording.missed,
        "sampler_cpu_s": recording.cpu_s,
        "absent": {**recording.absent, **recording.troubles},
    }
