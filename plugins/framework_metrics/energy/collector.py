"""`metrics=energy`: joules of the run's GPUs, CPU packages and DRAM."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Metric, Result, RunContext, SanityCheck
from framework.errors import ConfigError
from framework_metrics.nvml.devices import chosen
from framework_metrics.sampling.sampling_session import SamplingSession, sampling_facts
from framework_metrics.sampling.window import Window
from framework_metrics.settings import checked_period

if TYPE_CHECKING:
    from framework_metrics.energy.estimate import Energy
    from framework_metrics.sampling.recording import Recording

MAX_IDLE_S = 10.0  # the core gives a collector 30 s to start, and the driver may need 18 of them


class EnergyCollector:
    """Reads counters and power during the run; reports its energy at the end.

    Metrics, all absent with the reason where they can't be determined: `energy_j`, `power_mean_w` (the sum over the
    run's GPUs, each once, however many replicas share it), `gpu_idle_w`, `energy_above_idle_j`, `cpu_energy_j`,
    `dram_energy_j`. Series: `gpu_energy_j`.
    """

    metric_names = (
        "energy_j",
        "power_mean_w",
        "gpu_idle_w",
        "energy_above_idle_j",
        "cpu_energy_j",
        "dram_energy_j",
    )

    def __init__(
        self,
        period_s: float = 0.1,
        idle_s: float = 0.0,
        gpus: Sequence[str] | None = None,
        powercap_dir: str = "/sys/class/powercap",
    ) -> None:
        self._period_s = checked_period("energy", period_s)
        if not 0 <= idle_s <= MAX_IDLE_S:
            raise ConfigError(
                f"configuration key 'metrics.energy.idle_s': 0 to {MAX_IDLE_S:g} expected, got {idle_s}"
            )
        self._idle_s, self._gpus, self._powercap_dir = idle_s, gpus, powercap_dir
        self._idle: Window | None = None

    def start(self, context: RunContext) -> None:
        """Begin to read; watch the idle machine first where that was asked for."""
        self._context = context
        names, count = chosen(self._gpus, context.config, os.environ)
        settings = {"names": names, "count": count, "powercap": self._powercap_dir}
        probe = "framework_metrics.energy.probe:EnergyProbe"
        self._session = SamplingSession("energy", probe, settings, self._period_s, context)
        if self._idle_s:
            self._idle = self._session.idle(self._idle_s)

    def stop(self) -> Result:
        """End reading; return energies with their bounds."""
        from framework_metrics.energy.boards import gpu_energy, gpu_samples, rapl_energy

        recording, window = self._session.stop()
        found = gpu_energy(recording, window)
        packages = {kind: rapl_energy(recording, kind, window) for kind in ("package", "dram")}
        return Result(
            metrics=[
                *energy_metrics(found),
                *self._idle_metrics(recording, found, window),
                _metric("cpu_energy_j", packages["package"]),
                _metric("dram_energy_j", packages["dram"]),
            ],
            tables={"samples": gpu_samples(recording, window)},
            facts=_facts(recording, found, window),
            checks=[*self._session.checks(recording), *_checks(recording, found, window)],
        )

    def _idle_metrics(self, recording: Recording, run: Energy | str, window: Window) -> Iterator[Metric]:
        """Yield idle power and the energy above it, from the best stretch of idleness that there is."""
        from framework_metrics.energy.boards import gpu_energy

        stated = self._context.window
        loaded = Window(stated.idle_begin_s or 0.0, stated.idle_end_s or 0.0)
        if loaded.length_s > self._period_s:
            stretch, state = loaded, "model loaded"
        elif self._idle is not None:
            stretch, state = self._idle, "before the backend started, so without its model"
        else:
            reason = "idle power was not measured (metrics.energy.idle_s is 0)"
            yield Metric.absent("gpu_idle_w", reason, "W", "energy")
            yield Metric.absent("energy_above_idle_j", reason, "J", "energy")
            return
        idle = gpu_energy(recording, stretch)
        if isinstance(idle, str) or isinstance(run, str):
            reason = idle if isinstance(idle, str) else str(run)
            yield Metric.absent("gpu_idle_w", reason, "W", "energy")
            yield Metric.absent("energy_above_idle_j", reason, "J", "energy")
            return
        low_w, high_w = idle.low_j / idle.window_s, idle.high_j / idle.window_s
        source = f"{idle.source}, {state}"
        yield Metric("gpu_idle_w", idle.mean_w, "W", source, None, low_w, high_w, idle.window_s, idle.updates)
        yield Metric(
            name="energy_above_idle_j",
            value=run.energy_j - idle.mean_w * window.length_s,
            unit="J",
            source=f"energy_j − gpu_idle_w × duration; idle {state}",
            low=run.low_j - high_w * window.length_s,
            high=run.high_j - low_w * window.length_s,
            window_s=window.length_s,
            updates=run.updates,
        )


def _metric(name: str, found: Energy | str) -> Metric:
    if isinstance(found, str):
        return Metric.absent(name, found, "J", "energy")
    return Metric(
        name,
        found.energy_j,
        "J",
        found.source,
        None,
        found.low_j,
        found.high_j,
        found.window_s,
        found.updates,
    )


def energy_metrics(found: Energy | str) -> Iterator[Metric]:
    """Yield `energy_j` and `power_mean_w` of an energy, or absent ones with the reason that is in its place."""
    yield _metric("energy_j", found)
    if isinstance(found, str):
        yield Metric.absent("power_mean_w", found, "W", "energy")
        return
    low_w, high_w = found.low_j / found.window_s, found.high_j / found.window_s
    source = f"energy_j ({found.source}) / duration"
    yield Metric(
        "power_mean_w", found.mean_w, "W", source, None, low_w, high_w, found.window_s, found.updates
    )


def _facts(recording: Recording, found: Energy | str, window: Window) -> dict[str, Any]:
    facts = {"gpus": recording.facts.get("gpus", []), **sampling_facts(recording, window)}
    if not isinstance(found, str):
        facts |= {"sensor_cadence_s": found.cadence_s, "minimum_window_s": found.minimum_window_s}
    return facts


def _checks(recording: Recording, found: Energy | str, window: Window) -> Iterator[SanityCheck]:
    if isinstance(found, str):
        return
    if found.flags:
        yield SanityCheck("energy_window", "warn", "; ".join(found.flags))
    elif not window.of_run:
        detail = "the backend did not report when the run began and ended, so its start-up is included"
        yield SanityCheck("energy_window", "warn", detail)
    else:
        yield SanityCheck(
            "energy_window", "pass", f"{found.updates} sensor updates in {found.window_s:.3g} s"
        )
    split = [gpu["label"] for gpu in recording.facts.get("gpus", []) if gpu["mig"]]
    if split:
        detail = f"{', '.join(split)}: the sensor measures the whole GPU, including other work on it"
        yield SanityCheck("energy_scope", "warn", detail)
