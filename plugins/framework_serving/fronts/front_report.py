"""Pareto fronts, knees and what replicas add, as sections and tables of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from framework.contracts import Figure, ReportSection, TableBlock
from framework_serving.advice.replication_advisor import setup_of
from framework_serving.fronts.front_charts import coloured_front_chart, front_chart
from framework_serving.fronts.front_points import (
    ENERGY,
    FRONTS,
    LATENCY,
    THROUGHPUT,
    Front,
    front_gain,
    fronts,
)
from framework_serving.report.charts import Style
from framework_serving.sweeps.knees import Knee, find_knee
from framework_serving.sweeps.sweep_points import SweepPoint, comparable_groups, curves

MIN_CANDIDATES = 3
"""A front of fewer points says nothing."""
_Row = tuple[Any, ...]


def front_section(points: Sequence[SweepPoint], style: Style) -> ReportSection | None:
    """Return fronts with two and three objectives, the knees, and what replicas add; None without a sweep."""
    found = [
        kept
        for objectives in FRONTS
        if (kept := [item for item in fronts(points, objectives) if len(item.candidates) >= MIN_CANDIDATES])
    ]
    if not found:
        return None
    knees = [knee for _, knee in _knees(points) if not knee.at_share.chunked_prefill]
    charts = [
        coloured_front_chart(group, style)
        if len(group[0].objectives) == 3
        else front_chart(group, knees, style)
        for group in found
    ]
    tables = [knee_table(points), replica_front_table(points), front_table(found)]
    blocks: list[Figure | TableBlock | str] = [block for block in (*charts, *tables) if block is not None]
    return ReportSection("Pareto fronts", blocks, order=25)


def front_table(found: Sequence[Sequence[Front]]) -> TableBlock:
    """Return every setup on a front and how sure its place is; `found` has a list of fronts a set of objectives."""
    memberships = [_memberships(group) for group in found]
    setups: dict[tuple[str, ...], SweepPoint] = {
        point.run_ids: point for group in found for front in group for point in front.points
    }
    order = {run_ids: place for place, run_ids in enumerate(setups)}
    ranked = sorted(setups.values(), key=lambda point: (_group_place(found, point), order[point.run_ids]))
    return TableBlock(
        "Configurations on a Pareto front",
        (
            "model", "workload", "setup", "running", "tok/s", "ITL ms", "p99 ITL ms", "E2E s", "J/token",
            *(f"{group[0].title} %" for group in found),
        ),
        [
            (
                point.model,
                point.workload,
                setup_of(point).label,
                point.value("running_mean"),
                point.value(THROUGHPUT.metric),
                point.value(LATENCY.metric),
                point.value("itl_p99_ms"),
                _seconds(point.value("e2e_mean_ms")),
                point.value(ENERGY.metric),
                *(shares.get(point.run_ids) for shares in memberships),
            )
            for point in ranked
        ],
        "Last columns: how often the configuration stays on that front when every value is changed at random by 1 %, "
        "as between repeats; a dash where another one beats it. "
        + "; ".join(f"{_undecided(group)} more may be on {group[0].title}" for group in found)
        + ": beaten by less than the intervals of both. The same fronts by SQL: "
        + "; ".join(_sql(group[0]) for group in found),
    )  # fmt: skip


def _memberships(group: Sequence[Front]) -> dict[tuple[str, ...], float]:
    """Return, for the points on these fronts, the share of resamples in %, by their runs."""
    return {
        point.run_ids: 100 * share
        for front in group
        for point, kept, share in zip(front.candidates, front.on_front, front.membership, strict=True)
        if kept
    }


def _group_place(found: Sequence[Sequence[Front]], point: SweepPoint) -> int:
    """Return the place of a point's model and workload in the order of the first fronts."""
    names = [(front.candidates[0].model, front.candidates[0].workload) for group in found for front in group]
    return names.index((point.model, point.workload))


def _undecided(group: Sequence[Front]) -> int:
    return sum(sum(front.possible) - sum(front.on_front) for front in group)


def knee_table(points: Sequence[SweepPoint]) -> TableBlock | None:
    """Return the knee of each model's single-engine sweeps; None if nothing was swept."""
    rows = [_knee_row(label, knee) for label, knee in _knees(points)]
    if not rows:
        return None
    return TableBlock(
        "Knees of single engines",
        (
            "model", "sweep", "knee", "second knee", "MAX", "limited by", "KV at knee %", "tok/s at knee",
            "ITL ms", "ITL at MAX ms", "J/token", "J/token at MAX", "J/token at smallest",
        ),
        rows,
        "Knee: smallest batch with 95 % of the best throughput; second knee: farthest above the chord of "
        "(log batch, throughput). MAX: largest batch without preemption.",
    )  # fmt: skip


def replica_front_table(points: Sequence[SweepPoint]) -> TableBlock | None:
    """Return how far replicas move each model's front beyond that of single engines; None without replicas."""
    rows: list[_Row] = []
    for group in comparable_groups(points):
        single = [point for point in group if point.replicas == 1]
        plain = [point for point in single if not point.chunked_prefill]
        replicated = [point for point in group if point.replicas > 1]
        over_all = front_gain(replicated, single)
        over_plain = front_gain(replicated, plain)
        if not replicated or over_all is None or over_plain is None:
            continue
        rows.append(
            (
                group[0].model,
                group[0].workload,
                100 * over_plain,
                100 * over_all,
                *(100 * gain if gain is not None else None for gain in _best_gains(replicated, single)),
            )
        )
    if not rows:
        return None
    return TableBlock(
        "Gain of the front from replicas",
        (
            "model", "workload",
            "gain in area over one engine without chunked prefill %", "gain in area over all single engines %",
            "best tok/s %", "least J/token %",
        ),
        rows,
        "Area: dominated by the front in throughput and logarithmic ITL, up to the largest ITL of the model. Last "
        "two columns: the best configuration with replicas compared with the best single engine, with or without "
        "chunked prefill.",
    )  # fmt: skip


def _best_gains(
    replicated: Sequence[SweepPoint], single: Sequence[SweepPoint]
) -> tuple[float | None, float | None]:
    """Return the relative change of the best throughput and of the least energy per token."""

    def best(points: Sequence[SweepPoint], metric: str, sign: int) -> float | None:
        values = [
            value for point in points if not point.preempted and (value := point.value(metric)) is not None
        ]
        return sign * max(sign * value for value in values) if values else None

    changes: list[float | None] = []
    for objective in (THROUGHPUT, ENERGY):
        sign = 1 if objective.higher else -1
        new, base = best(replicated, objective.metric, sign), best(single, objective.metric, sign)
        changes.append(new / base - 1 if new is not None and base else None)
    return changes[0], changes[1]


def _knees(points: Sequence[SweepPoint]) -> Iterator[tuple[str, Knee]]:
    """Yield each single-engine sweep's name and knee."""
    for curve in curves(points):
        knee = find_knee(curve) if curve.first.replicas == 1 and len(curve.points) >= MIN_CANDIDATES else None
        if knee is not None:
            chunked = ", chunked prefill" if curve.first.chunked_prefill else ""
            yield curve.first.workload + chunked, knee


def _knee_row(label: str, knee: Knee) -> _Row:
    point, last = knee.at_share, knee.largest
    usage = point.value("kv_usage_peak")
    return (
        point.model,
        label,
        point.max_num_seqs,
        knee.by_chord.max_num_seqs,
        last.max_num_seqs,
        "memory" if knee.memory_bound else "sweep",
        None if usage is None else 100 * usage,
        point.value(THROUGHPUT.metric),
        point.value(LATENCY.metric),
        last.value(LATENCY.metric),
        point.value(ENERGY.metric),
        last.value(ENERGY.metric),
        knee.smallest.value(ENERGY.metric),
    )


def _seconds(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms / 1e3


def _sql(front: Front) -> str:
    names = ", ".join(f"'{objective.metric}'" for objective in front.objectives)
    return f"FROM serving_front(objectives := [{names}])"
