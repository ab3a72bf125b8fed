"""Did the GPUs run at their clocks, and alone? The published study lost runs to both without noticing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.contracts import SanityCheck, Verdict
from framework_metrics.sampling.recording import Recording
from framework_metrics.sampling.window import Window

if TYPE_CHECKING:
    import numpy.typing as npt

IDLE = 0x1
REASONS = {
    0x2: "clocks set by the user",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability",
}
"""NVML's clock event reasons (nvmlClocksEventReason*), those that slow down a working GPU."""

SETTINGS = 0x2 | 0x10 | 0x100
"""Of these, the ones that a user set."""

BUSY_PCT = 50.0
"""Utilisation above which a GPU counts as under load."""

CLOCK_TOLERANCE = 0.97
"""Share of the expected SM clock that a loaded GPU must keep (1605 of 1980 MHz, the known defect, is 0.81)."""

ALLOWED_SHARE = 0.05
"""Share of the loaded samples that may be below the clock without a remark."""

LEFT_BEHIND_MIB = 2048.0
"""Memory in use before the run that is more than a driver's own."""

SMALL_NEIGHBOUR_MIB = 64.0
"""A process with less memory and no utilisation (a display, a monitor) disturbs no run."""


def clock_check(recording: Recording, window: Window, expected_mhz: float | None) -> Iterator[SanityCheck]:
    """Yield the verdict on the SM clocks under load.

    A clock that is held down by a setting is a failure: the run measured another machine. Held down by power or heat
    it is a warning: that is what this machine does under this load. So it is without a reason: some GPUs never reach
    their nominal maximum.
    """
    details: list[str] = []
    worst: Verdict = "pass"
    for gpu in {str(gpu["board"]): gpu for gpu in recording.facts.get("gpus", [])}.values():
        verdict, detail = _clock_of(recording, window, gpu, expected_mhz)
        details.append(f"{gpu['board']}: {detail}")
        worst = max(worst, verdict, key=("pass", "warn", "fail").index)
    if details:
        yield SanityCheck("gpu_clocks", worst, "; ".join(details))


def _clock_of(
    recording: Recording, window: Window, gpu: Mapping[str, Any], expected_mhz: float | None
) -> tuple[Verdict, str]:
    board, limit_mhz = gpu["board"], expected_mhz or gpu["sm_clock_max_mhz"]
    clock, loaded = _column(recording, f"{board}.sm_clock_mhz"), _loaded(recording, gpu)
    if clock is None or loaded is None or not limit_mhz:
        return "pass", f"not checked, {recording.reason(f'{board}.sm_clock_mhz')}"
    judged = window.holds(recording.t_s) & loaded & np.isfinite(clock)
    if not judged.any():
        return "pass", "never under load"
    slow = judged & (clock < CLOCK_TOLERANCE * limit_mhz)
    share = slow.sum() / judged.sum()
    median_mhz = float(np.median(clock[judged]))
    if share <= ALLOWED_SHARE:
        return "pass", f"{median_mhz:.0f} of {limit_mhz:.0f} MHz under load"
    reasons = _column(recording, f"{board}.throttle_reasons")
    bits = 0 if reasons is None else int(np.bitwise_or.reduce(_whole(reasons[slow]), initial=0))
    why = ", ".join(text for bit, text in REASONS.items() if bits & bit) or "no reason given by NVML"
    detail = (
        f"below {CLOCK_TOLERANCE:.0%} of {limit_mhz:.0f} MHz in {share:.0%} of the loaded samples, median"
    )
    return ("fail" if bits & SETTINGS else "warn"), f"{detail} {median_mhz:.0f} MHz ({why})"


def _loaded(recording: Recording, gpu: Mapping[str, Any]) -> npt.NDArray[np.bool_] | None:
    """Return when a board was under load, by utilisation or, for MIG, by what its instances' SMs did."""
    columns = [f"{gpu['board']}.util_pct", f"{gpu['label']}.util_pct", f"{gpu['label']}.sm_active_pct"]
    for column in columns:
        values = _column(recording, column)
        if values is not None:
            return np.nan_to_num(values) >= (BUSY_PCT if column.endswith("util_pct") else 5.0)
    return None


def _column(recording: Recording, name: str) -> npt.NDArray[np.float64] | None:
    if name not in recording.columns:
        return None
    return np.asarray(recording.values[:, recording.columns.index(name)])


def _whole(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.nan_to_num(values).astype(np.int64)


def contention_check(recording: Recording, attached: bool) -> Iterator[SanityCheck]:
    """Yield the verdict on other processes on the run's GPUs.

    Args:
        recording: with what the probe saw of the GPUs' processes.
        attached: the run uses servers that were there before it, so what was there from the start may be theirs.
    """
    unknown = recording.facts.get("neighbours_unknown")
    if "neighbours" not in recording.facts or unknown:
        detail = f"not checked: {unknown or recording.ended_early or 'processes were not listed'}"
        yield SanityCheck("gpu_contention", "pass", detail)
        return
    others = [other for other in recording.facts["neighbours"] if not (attached and other["from_start"])]
    heavy = [
        other for other in others if other["memory_mib"] is None or other["memory_mib"] >= SMALL_NEIGHBOUR_MIB
    ]
    if heavy:
        seen = ", ".join(
            f"{other['name']} (pid {other['pid']}) with {_mib(other['memory_mib'])} on {other['device']}"
            for other in heavy
        )
        yield SanityCheck("gpu_contention", "fail", f"another process used memory of the GPU: {seen}")
    elif not attached and (before := _in_use_before(recording)):
        yield SanityCheck("gpu_contention", "warn", f"in use before the run began: {before}")
    else:
        yield SanityCheck("gpu_contention", "pass", "no other process on the GPUs of the run")


def _in_use_before(recording: Recording) -> str:
    """Return which GPUs were in use at the first sample, before the backend started; empty if none."""
    found = []
    for column, limit, unit in (
        ("util_pct", BUSY_PCT, "% busy"),
        ("memory_used_mib", LEFT_BEHIND_MIB, "MiB in use"),
    ):
        for name in recording.columns:
            label, _, quantity = name.partition(".")
            values = _column(recording, name)
            if quantity == column and values is not None and len(values) and values[0] >= limit:
                found.append(f"{label} {values[0]:.0f} {unit}")
    return ", ".join(found)


def _mib(memory_mib: float | None) -> str:
    return "unknown memory" if memory_mib is None else f"{memory_mib:.0f} MiB"
