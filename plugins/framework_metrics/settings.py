"""What can be set of the collectors: the keys under `metrics.nvml`, `metrics.energy` and `metrics.host`."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from framework.errors import ConfigError


@dataclass
class NvmlSettings:
    """`metrics=nvml`.

    Attributes:
        period_s: between two samples.
        pcie: ask for PCIe traffic also where GPM does not report it (40 ms a GPU and sample).
        gpus: indices or UUIDs of the GPUs to watch; null: those of the run (`CUDA_VISIBLE_DEVICES`, `backend.gpus`).
        expected_sm_clock_mhz: clock that the run should keep under load; null: the GPU's maximum.
    """

    _target_: str = MISSING
    period_s: float = 0.2
    pcie: bool = True
    gpus: list[str] | None = None
    expected_sm_clock_mhz: float | None = None


@dataclass
class EnergySettings:
    """`metrics=energy`.

    Attributes:
        period_s: between two readings of counters and power.
        idle_s: time to watch the idle GPU before the backend starts, no model loaded; 0: not at all.
        gpus: as for `metrics=nvml`.
        powercap_dir: folder of the RAPL counters.
    """

    _target_: str = MISSING
    period_s: float = 0.1
    idle_s: float = 0.0
    gpus: list[str] | None = None
    powercap_dir: str = "/sys/class/powercap"


@dataclass
class HostSettings:
    """`metrics=host`.

    Attributes:
        period_s: between two samples.
        perf: count CPU time by a perf event too.
    """

    _target_: str = MISSING
    period_s: float = 0.5
    perf: bool = True


def checked_period(collector: str, period_s: float) -> float:
    """Return a sampling period (s). Raises `ConfigError` if no sampler could keep it."""
    if not 0.01 <= period_s <= 60:
        raise ConfigError(
            f"configuration key 'metrics.{collector}.period_s': 0.01 to 60 expected, got {period_s}"
        )
    return period_s
