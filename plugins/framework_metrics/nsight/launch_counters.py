"""From profiled launches to arithmetic intensity, rates, hit rates and stalls, by class of kernel.

Operations are counted by the hardware: per thread for additions, multiplications and fused ones of each precision (a
fused one is two), and by the tensor cores' own counter. Where a kernel used the tensor cores and that counter was not
collected, its operations are unknown, not few.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework_metrics.nsight.exports.ncu_csv import Launch
from framework_metrics.nsight.kernel_classes import kernel_class

if TYPE_CHECKING:
    import pyarrow as pa

_THREAD_OPS = "smsp__sass_thread_inst_executed_op_{precision}{op}_pred_on"
_TENSOR_OPS = re.compile(r"(sm__ops_path_tensor\w*)\.sum(\.per_cycle_elapsed)?$")
_TENSOR_INSTRUCTIONS = re.compile(r"(sm__inst_executed_pipe_tensor\w*)\.sum(\.per_cycle_elapsed)?$")
_STALL = re.compile(
    r"smsp__(?:average_warps_issue_stalled|pcsamp_warps_issue_stalled)_(\w+?)(?:_per_issue_active\.ratio)?$"
)
_NO_STALL = ("selected",)
_L1_HIT = ("l1tex__t_sector_hit_rate.pct",)
_L2_HIT = ("lts__t_sector_hit_rate.pct",)
_DRAM_SHARE = (
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed",
)
UNCOUNTED = "the operations of the tensor cores were not counted (no sm__ops_path_tensor… in the file)"


@dataclass(frozen=True)
class ClassCounters:
    """Launches of one class, or of one kernel, taken together.

    Attributes:
        name: the class, or the kernel.
        kind: the class.
        launches: how many were profiled.
        duration_s: their time.
        flops, dram_bytes: their operations and memory traffic; None where a launch did not report them.
        l1_hit_pct, l2_hit_pct: hit rates, mean over time.
        dram_pct: memory bandwidth of its peak, mean over time.
        unread_traffic: launches whose memory traffic is in the file without a value.
        stalls: share of stalled warp time by reason, 0–1, the most frequent first; empty if not collected.
    """

    name: str
    kind: str
    launches: int
    duration_s: float
    flops: float | None
    dram_bytes: float | None
    l1_hit_pct: float | None
    l2_hit_pct: float | None
    dram_pct: float | None
    stalls: dict[str, float]
    unread_traffic: int = 0

    @property
    def intensity(self) -> float | None:
        """Operations per byte of memory traffic; None where either is unknown or there is no traffic."""
        if self.flops is None or not self.dram_bytes:
            return None
        return self.flops / self.dram_bytes

    @property
    def tflops(self) -> float | None:
        """10^12 operations per second."""
        return None if self.flops is None else self.flops / self.duration_s / 1e12

    @property
    def dram_tb_s(self) -> float | None:
        """10^12 bytes per second from and to memory."""
        return None if self.dram_bytes is None else self.dram_bytes / self.duration_s / 1e12


def by_class(launches: Sequence[Launch]) -> list[ClassCounters]:
    """Return the classes of these launches, the longest first."""
    return _grouped(launches, lambda launch: kernel_class(launch.kernel))


def by_kernel(launches: Sequence[Launch]) -> list[ClassCounters]:
    """Return the kernels by name, the longest first."""
    return _grouped(launches, lambda launch: launch.kernel)


def dram_peak_tb_s(launches: Sequence[Launch]) -> float | None:
    """Return the memory's peak, from launches with both their rate and its share of the peak (median)."""
    peaks = sorted(
        traffic / launch.duration_s / (share / 100) / 1e12
        for launch in launches
        if (traffic := dram_bytes(launch)) and (share := launch.first(*_DRAM_SHARE)) and share > 1
    )
    return peaks[len(peaks) // 2] if peaks else None


def flops(launch: Launch) -> float | None:
    """Return the operations of a launch; None if they were not counted, the tensor cores' included."""
    threads = _thread_flops(launch)
    tensor = _tensor_flops(launch)
    if tensor is None:
        if threads is None or _uses_tensor_cores(launch):
            return None
        return threads
    return tensor + (threads or 0.0)


def dram_bytes(launch: Launch) -> float | None:
    """Return bytes read from and written to memory; None if they were not measured."""
    read, written = launch.values.get("dram__bytes_read.sum"), launch.values.get("dram__bytes_write.sum")
    if read is not None and written is not None:
        return read + written
    total = launch.values.get("dram__bytes.sum")
    if total is not None:
        return total
    rate = launch.values.get("dram__bytes.sum.per_second")
    return None if rate is None else rate * launch.duration_s


def _thread_flops(launch: Launch) -> float | None:
    found = []
    for precision in "dfh":
        for op, operations in (("add", 1), ("mul", 1), ("fma", 2)):
            count = launch.count(_THREAD_OPS.format(precision=precision, op=op))
            if count is not None:
                found.append(operations * count)
    return sum(found) if found else None


def _tensor_flops(launch: Launch) -> float | None:
    """Return the tensor cores' operations, none counted within another counter.

    Two families count the same operations, by source type (`…_src_…`) and by instruction (`…_op_…`): the larger sum
    counts, since one of them may be listed in part.
    """
    names = sorted({match[1] for name in launch.values if (match := _TENSOR_OPS.match(name))})
    outer = [name for name in names if not any(name != other and name.startswith(other) for other in names)]
    families: dict[bool, list[float]] = {}
    for name in outer:
        count = launch.count(name, "sm__cycles_elapsed")
        if count is not None:
            families.setdefault("_op_" in name, []).append(count)
    return max(map(sum, families.values())) if families else None


def _uses_tensor_cores(launch: Launch) -> bool:
    """Whether a launch may have used them: it counted such instructions, or is a product and counted none."""
    counts = [
        launch.count(match[1], "sm__cycles_elapsed")
        for name in launch.values
        if (match := _TENSOR_INSTRUCTIONS.match(name))
    ]
    known = [count for count in counts if count is not None]
    return any(known) if known else kernel_class(launch.kernel) in ("matmul", "attention")


def _grouped(launches: Sequence[Launch], key: Callable[[Launch], str]) -> list[ClassCounters]:
    groups: dict[str, list[Launch]] = {}
    for launch in launches:
        groups.setdefault(key(launch), []).append(launch)
    found = [_summed(name, group) for name, group in groups.items()]
    return sorted(found, key=lambda item: (-item.duration_s, item.name))


def _summed(name: str, group: Sequence[Launch]) -> ClassCounters:
    return ClassCounters(
        name=name,
        kind=kernel_class(group[0].kernel),
        launches=len(group),
        duration_s=sum(launch.duration_s for launch in group),
        flops=_total([flops(launch) for launch in group]),
        dram_bytes=_total([dram_bytes(launch) for launch in group]),
        l1_hit_pct=_mean(group, _L1_HIT),
        l2_hit_pct=_mean(group, _L2_HIT),
        dram_pct=_mean(group, _DRAM_SHARE),
        stalls=_stalls(group),
        unread_traffic=sum(
            dram_bytes(launch) is None and any(name.startswith("dram__bytes") for name in launch.unread)
            for launch in group
        ),
    )


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _mean(group: Sequence[Launch], names: Sequence[str]) -> float | None:
    """Return the mean over the launches with a value, weighted with their time."""
    told = [(value, launch.duration_s) for launch in group if (value := launch.first(*names)) is not None]
    weight = sum(seconds for _, seconds in told)
    return sum(value * seconds for value, seconds in told) / weight if weight else None


def _stalls(group: Sequence[Launch]) -> dict[str, float]:
    """Return the share of each reason in the time that warps waited, each launch weighted with its time."""
    totals: dict[str, float] = {}
    weight = 0.0
    for launch in group:
        reasons = {
            match[1]: value
            for name, value in launch.values.items()
            if (match := _STALL.match(name)) and match[1] not in _NO_STALL and "not_issued" not in match[1]
        }
        whole = sum(reasons.values())
        if whole > 0:
            weight += launch.duration_s
            for reason, value in reasons.items():
                totals[reason] = totals.get(reason, 0.0) + launch.duration_s * value / whole
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return {reason: value / weight for reason, value in ranked if value > 0}


def counter_table(kernels: Sequence[ClassCounters]) -> pa.Table:
    """Return one row a kernel, in the columns of `gpu_kernel_counters`."""
    import pyarrow as pa

    from framework_metrics.nsight.tables import kernel_counters

    rows = [
        {
            "kind": item.kind,
            "name": item.name,
            "launches": item.launches,
            "duration_us": 1e6 * item.duration_s / item.launches,
            "flops": item.flops,
            "dram_bytes": item.dram_bytes,
            "flop_per_byte": item.intensity,
            "tflops": item.tflops,
            "dram_tb_s": item.dram_tb_s,
            "dram_pct": item.dram_pct,
            "l1_hit_pct": item.l1_hit_pct,
            "l2_hit_pct": item.l2_hit_pct,
            "stall_reason": next(iter(item.stalls), None),
            "stall_share": next(iter(item.stalls.values()), None),
        }
        for item in kernels
    ]
    return pa.Table.from_pylist(rows, kernel_counters())
