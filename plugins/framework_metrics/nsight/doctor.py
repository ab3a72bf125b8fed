"""What of Nsight works on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from framework.contracts import DoctorCheck
from framework_metrics.nsight.tools import find_tool, missing_tool

_COUNTERS_FOR_ALL = Path("/proc/driver/nvidia/params")


def nsight_checks() -> Iterator[DoctorCheck]:
    """Yield whether the profilers are here, and whether the driver lets users read hardware counters."""
    for tool in ("nsys", "ncu"):
        program = find_tool(tool)
        use = "timelines" if tool == "nsys" else "kernel counters"
        if program:
            yield DoctorCheck(f"nsight {tool}", True, f"{use}: {program}")
        else:
            yield DoctorCheck(
                f"nsight {tool}",
                None,
                f"{use}: not installed; exported files can be imported without it",
                missing_tool(tool),
            )
    yield _counter_permission()


def _counter_permission() -> DoctorCheck:
    name = "nsight counters"
    try:
        text = _COUNTERS_FOR_ALL.read_text(encoding="utf-8")
    except OSError:
        return DoctorCheck(name, None, "no NVIDIA driver on this machine")
    if "RmProfilingAdminOnly: 1" in text:
        fix = "'options nvidia NVreg_RestrictProfilingToAdminUsers=0' in /etc/modprobe.d, reload the driver"
        return DoctorCheck(name, False, "only administrators may read hardware counters", fix)
    return DoctorCheck(name, True, "all users may read hardware counters")
