"""`metrics=nvml`: what the run's GPUs did, sampled by NVIDIA's management library."""

from __future__ import annotations

import os
from collections.abc import Sequence

from framework.contracts import Result, RunContext
from framework_metrics.nvml.devices import chosen
from framework_metrics.nvml.readings import METRIC_NAMES, metrics_of, named_series
from framework_metrics.nvml.verdicts import clock_check, contention_check
from framework_metrics.sampling.samples import sample_rows
from framework_metrics.sampling.sampling_session import SamplingSession, sampling_facts
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
        names, count = chosen(self._gpus, context.config, os.environ)
        settings = {"names": names, "count": count, "run_pid": os.getpid(), "pcie": self._pcie}
        probe = "framework_metrics.nvml.probe:NvmlProbe"
        self._session = SamplingSession("nvml", probe, settings, self._period_s, context)

    def stop(self) -> Result:
        """End sampling; return metrics over the run's window, all series, and the verdicts."""
        recording, window = self._session.stop()
        config = self._context.config
        with_power = "energy" not in (config.get("metrics") or {})
        attached = bool((config.get("backend") or {}).get("urls"))
        return Result(
            metrics=list(metrics_of(recording, window, with_power)),
            tables={"samples": sample_rows(named_series(recording), window.begin_s)},
            facts={"gpus": recording.facts.get("gpus", []), **sampling_facts(recording, window)},
            checks=[
                *clock_check(recording, window, self._expected_mhz),
                *contention_check(recording, attached),
                *self._session.checks(recording),
            ],
        )
