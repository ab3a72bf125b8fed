"""Section "Where the time goes": the memory-gap argument as figures, and against the paper's kernel timelines."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Figure, ReportSection, TableBlock
from framework.errors import InputError
from framework_serving.physical.physical_charts import (
    bandwidth_chart,
    intensity_chart,
    roofline_chart,
    time_chart,
)
from framework_serving.physical.roofline_shares import decode_time_shares, run_physics
from framework_serving.report.charts import Style
from framework_serving.sweeps.sweep_points import Curve, SweepPoint, curves, lockstep_points

if TYPE_CHECKING:
    from framework.contracts import ReportScope, StoreReader

DECODE_TIME_FILE = "decode_time.csv"
"""Next to an experiment's claims: shares of decode time that its paper published."""
_COLUMNS = ("model", "batch", "attention_pct", "matmul_pct", "host_pct", "other_pct")
_LOCKSTEP = (161, 338)


@dataclass(frozen=True)
class PublishedShares:
    """Shares of decode time, %, of one model at one batch, read off a figure."""

    model: str
    batch: int
    attention: float
    matmul: float
    host: float
    other: float


def physical_section(scope: ReportScope, points: Sequence[SweepPoint], style: Style) -> ReportSection | None:
    """Return time shares, bandwidth, intensity, roofline and the comparison; None if no run reports its time."""
    main = [curve for curve in _main_curves(points, style) if curve.first.value("time_kv_share") is not None]
    physics = run_physics(scope.store, [point for curve in main for point in curve.points])
    figures = (
        time_chart(main),
        bandwidth_chart(main, style),
        intensity_chart(physics),
        roofline_chart(physics),
    )
    blocks: list[Figure | TableBlock | str] = [figure for figure in figures if figure is not None]
    blocks += [
        table for table in (comparison_table(scope, points), profiled_table(points)) if table is not None
    ]
    return ReportSection("Where the time goes", blocks, order=35) if blocks else None


def _main_curves(points: Sequence[SweepPoint], style: Style) -> Iterator[Curve]:
    """Yield each model's longest sweep of one engine over its main workload, plain before chunked prefill."""
    longest: dict[str, Curve] = {}
    for curve in curves(points):
        first = curve.first
        if first.replicas == 1 and len(curve.points) > 1 and style.is_main(first):
            best = longest.get(first.model)
            rank = (not first.chunked_prefill, len(curve.points))
            if best is None or rank > (not best.first.chunked_prefill, len(best.points)):
                longest[first.model] = curve
    yield from longest.values()


def comparison_table(scope: ReportScope, points: Sequence[SweepPoint]) -> TableBlock | None:
    """Return lock-step runs next to the published shares of decode time; None without file or runs.

    Raises:
        InputError: the file of published shares is malformed; names file and line.
    """
    if scope.claims_file is None:
        return None
    file = scope.claims_file.parent / DECODE_TIME_FILE
    if not file.is_file():
        return None
    rows, misses = [], []
    for published in read_published(file):
        ours = lockstep_shares(scope.store, points, published.model, published.batch)
        if ours is None:
            continue
        theirs = {
            "attention": published.attention,
            "host": published.host,
            "products": published.matmul + published.other,
        }
        misses += [abs(ours[part] - theirs[part]) for part in theirs]
        rows.append(
            (published.model, published.batch, *(x for part in theirs for x in (theirs[part], ours[part])))
        )
    if not rows:
        return None
    return TableBlock(
        "Shares of decode time compared with the paper's kernel timelines, %",
        (
            "model", "batch", "attention: paper", "ours", "host: paper", "ours ", "matmul + other: paper", "ours  ",
        ),
        rows,
        f"Lock-step runs, 161 input and 338 output tokens. Mean difference {sum(misses) / len(misses):.1f} points, "
        f"largest {max(misses):.1f}. Matmul and other are one column, because the paper's list of kernels does "
        "not contain one variant of the matrix product at small batches, and the twin's law has small kernels and "
        "products in one term. The twin's host time has the paper's as prior mean, so the host column is not an "
        "independent test.",
    )  # fmt: skip


def profiled_table(points: Sequence[SweepPoint]) -> TableBlock | None:
    """Return modelled and measured shares of time of the same configuration; None without a pair."""
    modelled = {_setting(point): point for point in points if point.value("time_kv_share") is not None}
    rows = []
    for point in points:
        twin = modelled.get(_setting(point))
        if twin is None or point.value("nsight_attention_share") is None:
            continue
        pairs = [
            (point.value("nsight_attention_share"), twin.value("time_kv_share")),
            (point.value("nsight_host_gap_share"), twin.value("time_host_share")),
        ]
        shares = [None if value is None else 100 * value for pair in pairs for value in pair]
        traffic = (point.value("nsight_dram_read_pct"), share_of_peak_bandwidth(twin))
        rows.append((point.model, point.workload, point.max_num_seqs, *shares, *traffic))
    if not rows:
        return None
    return TableBlock(
        "The model's shares of time compared with Nsight, %",
        (
            "model", "workload", "batch", "attention: Nsight", "modelled", "host gap: Nsight", "modelled ",
            "DRAM read: Nsight", "modelled  ",
        ),
        rows,
        "Same model, GPU, workload and batch. Nsight's shares refer to the decode ranges if the trace marks them; "
        "the model's shares refer to the whole run.",
    )  # fmt: skip


def _setting(point: SweepPoint) -> tuple[object, ...]:
    return (point.model, point.gpu, point.workload, point.max_num_seqs, point.replicas, point.chunked_prefill)


def share_of_peak_bandwidth(point: SweepPoint) -> float | None:
    """Return the memory traffic of a point, % of the GPU's peak; None if unknown."""
    traffic, peak = point.value("dram_read_tb_s"), point.number("gpu.bandwidth_tb_s")
    return None if traffic is None or not peak else 100 * traffic / peak


def lockstep_shares(
    store: StoreReader, points: Sequence[SweepPoint], model: str, batch: int
) -> dict[str, float] | None:
    """Return the shares of decode time, %, of the lock-step run of a model at a batch; None if there is none."""
    for point in lockstep_points(points, model, batch):
        if point.tokens == _LOCKSTEP:
            return decode_time_shares(store, point)
    return None


def read_published(file: Path) -> list[PublishedShares]:
    """Return the rows of a file of published shares. Raises `InputError` naming file and line."""
    with file.open(encoding="utf-8", newline="") as text:
        reader = csv.DictReader(text)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{file}: no column '{missing[0]}'")
        found = []
        for row in reader:
            try:
                shares = [float(row[name]) for name in _COLUMNS[2:]]
                found.append(PublishedShares(row["model"], int(row["batch"]), *shares))
            except (TypeError, ValueError):
                raise InputError(
                    f"{file}, line {reader.line_num}: a batch or share is not a number"
                ) from None
    return found
