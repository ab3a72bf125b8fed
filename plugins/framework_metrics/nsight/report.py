"""Section "Measured by Nsight": time by class of kernel, longest kernels, and a roofline of what was profiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.contracts import Figure, ReportSection, TableBlock
from framework_metrics.nsight.kernel_classes import kernel_kinds
from framework_metrics.nsight.timeline import HOST_GAP, WHOLE
from framework_metrics.run_labels import run_labels

if TYPE_CHECKING:
    from framework.contracts import ReportScope

MAX_KERNEL_ROWS = 20
_Row = dict[str, Any]


def sections(scope: ReportScope) -> list[ReportSection]:
    """Return the section on profiled runs; none if no run of the report has a profile."""
    labels = run_labels(scope)
    blocks: list[Figure | TableBlock | str] = []
    times = _rows(scope, "gpu_time", "ORDER BY run_id, phase, kind")
    if times:
        blocks.append(time_figure(times, labels))
        blocks.append(kernel_table(_rows(scope, "gpu_kernels", "ORDER BY share DESC, name"), labels))
    counters = _rows(scope, "gpu_kernel_counters", "ORDER BY launches * duration_us DESC, name")
    if counters:
        roofline = roofline_figure(counters, _roofs(scope))
        blocks += [roofline] if roofline is not None else []
        blocks.append(counter_table(counters, labels))
    return [ReportSection("Measured by Nsight", blocks, order=36)] if blocks else []


def time_figure(rows: Sequence[_Row], labels: Mapping[str, str]) -> Figure:
    """Return stacked shares of time by class, one bar a run and phase; gaps of the GPU are the host's time."""
    bars = list(dict.fromkeys((row["run_id"], row["phase"]) for row in rows))
    several = len({run_id for run_id, _ in bars}) > 1
    names = [f"{labels.get(run_id, run_id)} · {phase}" if several else phase for run_id, phase in bars]
    share = {(row["run_id"], row["phase"], row["kind"]): 100 * row["share"] for row in rows}
    traces = [
        {
            "type": "bar",
            "name": kind,
            "x": names,
            "y": [share.get((*bar, kind), 0.0) for bar in bars],
            "hovertemplate": f"%{{x}}<br>{kind}: %{{y:.1f}} %<extra></extra>",
        }
        for kind in (HOST_GAP, *kernel_kinds())
        if any((*bar, kind) in share for bar in bars)
    ]
    layout = {
        "barmode": "stack",
        "height": 460,
        "xaxis": {"title": {"text": "run and phase"}, "type": "category", "automargin": True},
        "yaxis": {"title": {"text": "share of the phase (%)"}, "rangemode": "tozero"},
    }
    return Figure(
        "Time by class of kernel",
        {"data": traces, "layout": layout},
        f"'{WHOLE}' is the whole trace, from the first work on the GPU to the last; other phases are NVTX ranges. "
        "The host gap is time without any work on the GPU. Kernels that overlap make a bar higher than 100 %.",
        sql="SELECT run_id, phase, kind, share FROM gpu_time ORDER BY ALL",
    )


def kernel_table(rows: Sequence[_Row], labels: Mapping[str, str]) -> TableBlock:
    """Return the longest kernels of all traces."""
    shown = rows[:MAX_KERNEL_ROWS]
    return TableBlock(
        "Longest kernels",
        ("run", "class", "kernel", "calls", "total s", "mean µs", "share %"),
        [
            (
                labels.get(row["run_id"], row["run_id"]),
                row["kind"],
                _shortened(row["name"]),
                row["calls"],
                row["total_s"],
                row["mean_us"],
                100 * row["share"],
            )
            for row in shown
        ],
        f"{len(rows) - len(shown)} more in table gpu_kernels." if len(rows) > len(shown) else "",
    )


def roofline_figure(
    rows: Sequence[_Row], roofs: Mapping[str, tuple[float | None, float | None]]
) -> Figure | None:
    """Return rate against arithmetic intensity of the profiled kernels, below the memory's roof.

    `roofs` has TB/s and TFLOP/s of each GPU, None where unknown. None if no kernel's operations were counted.
    """
    known = [row for row in rows if row["flop_per_byte"] and row["tflops"]]
    if not known:
        return None
    traces: list[_Row] = []
    for kind in dict.fromkeys(row["kind"] for row in known):
        own = [row for row in known if row["kind"] == kind]
        longest = max(row["launches"] * row["duration_us"] for row in known)
        sizes = [6 + 14 * (row["launches"] * row["duration_us"] / longest) ** 0.5 for row in own]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind,
                "x": [row["flop_per_byte"] for row in own],
                "y": [row["tflops"] for row in own],
                "marker": {"size": sizes},
                "text": [_shortened(row["name"]) for row in own],
                "hovertemplate": "%{text}<br>%{x:.3g} FLOP/byte, %{y:.3g} TFLOP/s<extra></extra>",
            }
        )
    low, high = min(row["flop_per_byte"] for row in known) / 2, max(row["flop_per_byte"] for row in known) * 4
    for gpu, (bandwidth, rate) in roofs.items():
        if bandwidth:
            ridge = [rate / bandwidth] if rate else []
            xs = sorted({low, *ridge, max(high, 2 * ridge[0]) if ridge else high})
            ys = [min(bandwidth * x, rate) if rate else bandwidth * x for x in xs]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": f"roofs of {gpu}",
                    "x": xs,
                    "y": ys,
                    "line": {"color": "#7F7F7F", "width": 2},
                    "hoverinfo": "skip",
                }
            )
    axes = {"type": "log", "automargin": True}
    layout = {
        "height": 460,
        "xaxis": {**axes, "title": {"text": "arithmetic intensity (FLOP/byte of memory traffic)"}},
        "yaxis": {**axes, "title": {"text": "rate reached (TFLOP/s)"}},
    }
    return Figure(
        "Measured roofline",
        {"data": traces, "layout": layout},
        "One mark for each kernel, with its size by time. Operations of the tensor cores are "
        "counted; kernels whose operations "
        "were not are in the table only. Grey: the datasheet's roofs, else the memory's measured peak.",
        sql="SELECT run_id, name, kind, flop_per_byte, tflops FROM gpu_kernel_counters ORDER BY ALL",
    )


def counter_table(rows: Sequence[_Row], labels: Mapping[str, str]) -> TableBlock:
    """Return the profiled kernels with their counters, the longest first."""
    shown = rows[:MAX_KERNEL_ROWS]
    return TableBlock(
        "Counters of the profiled kernels",
        (
            "run", "class", "kernel", "launches", "mean µs", "FLOP/byte", "TFLOP/s", "TB/s", "DRAM %", "L1 hit %",
            "L2 hit %", "most stalls", "share %",
        ),
        [
            (
                labels.get(row["run_id"], row["run_id"]),
                row["kind"],
                _shortened(row["name"]),
                row["launches"],
                row["duration_us"],
                row["flop_per_byte"],
                row["tflops"],
                row["dram_tb_s"],
                row["dram_pct"],
                row["l1_hit_pct"],
                row["l2_hit_pct"],
                row["stall_reason"],
                None if row["stall_share"] is None else 100 * row["stall_share"],
            )
            for row in shown
        ],
        f"{len(rows) - len(shown)} more in table gpu_kernel_counters." if len(rows) > len(shown) else "",
    )  # fmt: skip


def _shortened(name: str, most: int = 70) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _rows(scope: ReportScope, table: str, order: str) -> list[_Row]:
    """Return a table's rows of the report's runs; a store in which no run was profiled has no such table."""
    known = scope.store.query("SELECT 1 FROM information_schema.tables WHERE table_name = ? LIMIT 1", [table])
    if known.num_rows == 0:
        return []
    found: list[_Row] = scope.store.query(
        f"SELECT * FROM {table} WHERE run_id IN (SELECT unnest(?)) {order}", [list(scope.run_ids)]
    ).to_pylist()
    return found


def _roofs(scope: ReportScope) -> dict[str, tuple[float | None, float | None]]:
    """Return TB/s and TFLOP/s by GPU: the datasheet's where the run names one, else the measured peak of memory."""
    rows = scope.store.query(
        "SELECT run_id, name, value, number FROM params WHERE run_id IN (SELECT unnest(?)) AND name IN "
        "('gpu.name', 'gpu.bandwidth_tb_s', 'gpu.fp16_tflops') "
        "UNION ALL SELECT run_id, 'peak', value, number FROM facts WHERE run_id IN (SELECT unnest(?)) "
        "AND name LIKE '%dram_peak_tb_s'",
        [list(scope.run_ids), list(scope.run_ids)],
    ).to_pylist()
    runs: dict[str, dict[str, Any]] = {}
    for row in rows:
        runs.setdefault(row["run_id"], {})[row["name"]] = (
            row["value"] if row["name"] == "gpu.name" else row["number"]
        )
    return {
        str(run.get("gpu.name") or "the GPU"): (
            run.get("gpu.bandwidth_tb_s") or run.get("peak"),
            run.get("gpu.fp16_tflops"),
        )
        for run in runs.values()
    }
