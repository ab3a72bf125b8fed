"""What a run keeps of a profile: metrics with their source, tables, facts and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Metric, Result, SanityCheck
from framework.input_files.file_head import FileHead
from framework.input_files.opening import encoding_of
from framework_metrics.nsight import launch_counters
from framework_metrics.nsight.exports.ncu_csv import Launch, read_launches
from framework_metrics.nsight.exports.nsys_export import NsysExport, read_export
from framework_metrics.nsight.metric_definitions import COUNTED_KINDS, NSIGHT_UNITS, SHARED_KINDS
from framework_metrics.nsight.timeline import COUNTERS, WHOLE, Timeline, analyse, time_table

if TYPE_CHECKING:
    from framework_metrics.nsight.launch_counters import ClassCounters

DECODE = "decode"
_MEMORY_STALLS = ("long_scoreboard", "long_sb")
_OTHER_WARNS_ABOVE = 0.15
_GRAPHS_WARN_ABOVE = 0.05


def read_profile(path: Path) -> Result:
    """Return what an export of either tool holds: SQLite or Parquet of `nsys`, raw CSV of `ncu`.

    Raises `InputError`, one line that names the file, for anything else.
    """
    if path.is_file() and path.suffix != ".parquet" and _is_text(path):
        return counter_result(read_launches(path))
    export = read_export(path)
    return timeline_result(export, analyse(export))


def _is_text(path: Path) -> bool:
    """Say whether a file is text: named so, or what its first bytes are once decompressed."""
    if path.suffix.lower() in (".csv", ".txt"):
        return True
    if path.suffix.lower() == ".sqlite":
        return False
    return encoding_of(FileHead(path).data) is not None


def timeline_result(export: NsysExport, timeline: Timeline, tool: str = "nsys") -> Result:
    """Return time by class, gaps and counters; the metrics are of the decode ranges where the trace marks them."""
    phase = timeline.phase(DECODE) or timeline.phases[0]
    source = tool if phase.name == WHOLE else f"{tool}, ranges '{phase.name}'"
    metrics = [
        Metric("nsight_window_s", phase.window_s, "s", source),
        Metric("nsight_host_gap_share", phase.gap_share, "", source, window_s=phase.window_s),
        *(
            Metric(f"nsight_{kind}_share", phase.share(kind), "", source, window_s=phase.window_s)
            for kind in SHARED_KINDS
        ),
        *_counter_means(timeline),
    ]
    return Result(
        metrics,
        {
            "gpu_time": time_table(timeline.phases),
            "gpu_kernels": timeline.kernels,
            "samples": timeline.samples,
        },
        {
            "tool": tool,
            "export_version": export.version,
            "gpus": [export.gpus[number] for number in sorted(export.gpus)],
            "phases": [item.name for item in timeline.phases],
        },
        list(_timeline_checks(timeline)),
    )


def _counter_means(timeline: Timeline) -> Iterator[Metric]:
    window_s = timeline.phases[0].window_s
    for name in COUNTERS:
        value = timeline.counters.get(name)
        if value is None:
            reason = (
                "the trace contains no such GPU metric (recipe gpu_metrics samples them; it needs permission)"
            )
            yield Metric.absent(name, reason, "%", "nsys")
        else:
            yield Metric(name, value, "%", "nsys", window_s=window_s, updates=timeline.counter_updates)


def _timeline_checks(timeline: Timeline) -> Iterator[SanityCheck]:
    whole = timeline.phases[0]
    if timeline.unresolved_share > _GRAPHS_WARN_ABOVE:
        yield SanityCheck(
            "nsight_graphs",
            "warn",
            f"{timeline.unresolved_share:.0%} of the time is in CUDA graphs whose kernels were not traced: their "
            "classes are unknown; trace with --cuda-graph-trace=node",
        )
    other = whole.share("other")
    if other > _OTHER_WARNS_ABOVE:
        largest = next(row for row in timeline.kernels.to_pylist() if row["kind"] == "other")
        yield SanityCheck(
            "nsight_other",
            "warn",
            f"{other:.0%} of the time is in kernels without a known class, most of it in '{largest['name'][:60]}'",
        )


def counter_result(launches: Sequence[Launch]) -> Result:
    """Return arithmetic intensity, rates, hit rates and stalls of the attention and matrix kernels."""
    classes = {item.name: item for item in launch_counters.by_class(launches)}
    metrics = [metric for kind in COUNTED_KINDS for metric in _class_metrics(kind, classes.get(kind))]
    peak = launch_counters.dram_peak_tb_s(launches)
    return Result(
        metrics,
        {"gpu_kernel_counters": launch_counters.counter_table(launch_counters.by_kernel(launches))},
        {
            "tool": "ncu",
            "launches": len(launches),
            "gpus": sorted({launch.device for launch in launches if launch.device}),
            "dram_peak_tb_s": peak,
        },
    )


def _class_metrics(kind: str, found: ClassCounters | None) -> Iterator[Metric]:
    def metric(name: str, value: float | None, reason: str) -> Metric:
        full = f"nsight_{kind}_{name}"
        unit = NSIGHT_UNITS[full]
        if found is None:
            return Metric.absent(full, f"no {kind} kernel among the profiled launches", unit, "ncu")
        if value is None:
            return Metric.absent(full, reason, unit, "ncu")
        return Metric(full, value, unit, "ncu", window_s=found.duration_s, updates=found.launches)

    traffic = "memory traffic was not measured (no dram__bytes… in the file)"
    if found is not None and found.unread_traffic:
        traffic = f"memory traffic has no value (n/a) in {found.unread_traffic} of {found.launches} launches"
    uncounted = launch_counters.UNCOUNTED
    no_operations = uncounted if found is not None and found.flops is None else traffic
    yield metric("flop_per_byte", found.intensity if found else None, no_operations)
    yield metric("tflops", found.tflops if found else None, uncounted)
    yield metric("dram_tb_s", found.dram_tb_s if found else None, traffic)
    no_caches = "hit rates were not measured (section MemoryWorkloadAnalysis)"
    yield metric("l1_hit_pct", found.l1_hit_pct if found else None, no_caches)
    yield metric("l2_hit_pct", found.l2_hit_pct if found else None, no_caches)
    stalls = found.stalls if found else {}
    waiting = sum(stalls.get(reason, 0.0) for reason in _MEMORY_STALLS) if stalls else None
    yield metric("memory_stall_share", waiting, "stalls were not measured (section WarpStateStats)")
