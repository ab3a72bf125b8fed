"""What of this machine can be measured and, for what can't, the line that fixes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from framework.contracts import DoctorCheck
from framework_metrics.energy.rapl import FIX as RAPL_FIX
from framework_metrics.energy.rapl import POWERCAP, find_zones
from framework_metrics.host.task_clock import FIX as PERF_FIX
from framework_metrics.host.task_clock import TaskClock
from framework_metrics.sampling.probe import UnavailableError
from framework_metrics.sampling.process import SamplerError, SamplerProcess
from framework_metrics.sampling.recording import Recording

NVML_EXTRA = "pip install 'framework-lab[gpu]'"


def checks() -> Iterator[DoctorCheck]:
    """Yield a line for NVML, energy counter, GPM, RAPL, host and perf; asks the sensors as a run would."""
    yield from _gpu_checks()
    yield from _rapl_checks(POWERCAP)
    yield DoctorCheck("metrics=host", True, "CPU and memory of the host and of the run's processes")
    yield _perf_check()


def _gpu_checks() -> Iterator[DoctorCheck]:
    if find_spec("pynvml") is None:
        yield DoctorCheck("metrics=nvml", False, "nvidia-ml-py is not installed", NVML_EXTRA)
        return
    everything = {"names": None, "count": None}
    try:
        seen = _asked_once("nvml.probe:NvmlProbe", {**everything, "run_pid": os.getpid(), "pcie": False})
        counters = _asked_once("energy.probe:EnergyProbe", {**everything, "powercap": os.devnull})
    except SamplerError as reason:
        no_driver = "no NVML library" in str(reason) or "driver is not loaded" in str(reason)
        fix = "on a machine with an NVIDIA GPU: install its driver" if no_driver else ""
        yield DoctorCheck("metrics=nvml", None if no_driver else False, str(reason), fix)
        return
    names = ", ".join(f"{gpu['label']} {gpu['name']} (driver {gpu['driver']})" for gpu in seen.facts["gpus"])
    yield DoctorCheck("metrics=nvml", True, f"{names}: {len(seen.columns)} quantities")
    for quantity, what, fallback in (
        (
            "energy_counter_j",
            "GPU energy counter",
            "energy is integrated from power instead (Volta and newer GPUs have a counter)",
        ),
        ("power_w", "GPU power", "energy can't be measured"),
        (
            "power_average_w",
            "GPU power, instantaneous",
            "instantaneous and average power can't be distinguished",
        ),
        ("sm_active_pct", "GPU activity (GPM)", "SM, tensor and DRAM activity will be absent"),
    ):
        source = counters if quantity == "energy_counter_j" else seen
        missing = [reason for column, reason in source.absent.items() if column.endswith(f".{quantity}")]
        yield DoctorCheck(
            what, None if missing else True, f"{missing[0]}: {fallback}" if missing else "offered"
        )
    hidden = seen.facts.get("neighbours_unknown")
    detail = (
        f"not listed, so contention is not checked: {hidden}"
        if hidden
        else "listed, so contention is checked"
    )
    yield DoctorCheck("GPU processes", None if hidden else True, detail)


def _asked_once(probe: str, settings: Mapping[str, Any]) -> Recording:
    """Return what a sampler sees in its first reading. Raises `SamplerError` if there is nothing."""
    with tempfile.TemporaryDirectory(prefix="framework-doctor-") as folder:
        sampler = SamplerProcess("doctor", f"framework_metrics.{probe}", settings, 1.0, Path(folder))
        sampler.start()
        return sampler.stop()


def _rapl_checks(folder: Path) -> Iterator[DoctorCheck]:
    zones, absent = find_zones(folder)
    for kind, what in (("package", "CPU energy (RAPL)"), ("dram", "DRAM energy (RAPL)")):
        found = [zone for zone in zones if zone.column.startswith(f"rapl.{kind}")]
        missing = [reason for column, reason in absent.items() if column.startswith(f"rapl.{kind}")]
        if missing:
            barred = "permission" in missing[0]
            yield DoctorCheck(what, False if barred else None, missing[0], RAPL_FIX if barred else "")
        else:
            yield DoctorCheck(what, True, f"{len(found)} counter{'s' if len(found) > 1 else ''}")


def _perf_check() -> DoctorCheck:
    name = "perf task-clock"
    try:
        TaskClock(os.getpid()).close()
    except UnavailableError as reason:
        return DoctorCheck(name, False if "not allowed" in str(reason) else None, str(reason), PERF_FIX)
    return DoctorCheck(name, True, "the kernel counts the run's CPU time")
