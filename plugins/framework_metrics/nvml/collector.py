"""`metrics=nvml`: what the run's GPUs did, sampled by NVIDIA's management library."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from framework.contracts import Result, RunContext
from framework_metrics.nvml.devices import asked_for
from framework_metrics.nvml.readings import METRIC_NAMES, metrics_of, named_series
from framework_metrics.nvml.verdicts import clock_check, contention_check
from framework_metrics.sampling.process import SamplerProcess
from framework_metrics.sampling.samples import sample_rows
from framework_metrics.sampling.verdict import sampling_check
from framework_metrics.sampling.window import measured_window
from framework_metrics.settings import checked_period


class NvmlCollector:
    """Samples all GPUs of a run; what NVML does not offer is absent with NVML's reason.

    Metrics: `docs/measuring.md`. Series: `gpu_power_w`, `gpu_sm_clock_mhz` …, by GPU where there are several. Checks:
    `gpu_clocks`, `gpu_contention`. `power_mean_w` is left to `metrics=energy` where that was chosen too.
    """

    metric_names = METRIC_NAMES

    def __init__(
        self,
        period_s: float = 0.2,
        pcie: bool = True,
        gpus: Sequence[str] | None = None,
        expected_sm_clock_mhz: float | None = None,
    ) -> None:
        self._period_s = checked_period("nvml", period_s)
        self._pcie, self._gpus, self._expected_mhz = pcie, gpus, expected_sm_clock_mhz

    def start(self, context: RunContext) -> None:
        """Begin to sample. Raises `SamplerError` where there is nothing to sample."""
        self._context = context
        names, count = asked_for(context.config, os.environ)
        if self._gpus is not None:
            names, count = [str(name) for name in self._gpus], None
        settings = {"names": names, "count": count, "run_pid": os.getpid(), "pcie": self._pcie}
        self._sampler = SamplerProcess(
            "nvml", "framework_metrics.nvml.probe:NvmlProbe", settings, self._period_s, context.scratch
        )
        self._sampler.start()
        self._started_s = time.monotonic()

    def stop(self) -> Result:
        """End sampling; return metrics over the run's window, all series, and the verdicts."""
        stopped_s = time.monotonic()
        recording = self._sampler.stop()
        window = measured_window(self._context.window, recording, self._started_s, stopped_s)
        config = self._context.config
        with_power = "energy" not in (config.get("metrics") or {})
        attached = bool((config.get("backend") or {}).get("urls"))
        return Result(
            metrics=list(metrics_of(recording, window, with_power)),
            tables={"samples": sample_rows(named_series(recording), window.begin_s)},
            facts={
                "gpus": recording.facts.get("gpus", []),
                "window": "run" if window.of_run else "collector",
                "window_s": window.length_s,
                "samples": len(recording.t_s),
                "missed_samples": recording.missed,
                "sampler_cpu_s": recording.cpu_s,
                "absent": {**recording.absent, **recording.troubles},
            },
            checks=[
                *clock_check(recording, window, self._expected_mhz),
                *contention_check(recording, attached),
                *sampling_check("nvml", recording),
            ],
        )
