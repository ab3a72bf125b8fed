"""Tables of a serving study, for the terminal at the end of a sweep and for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from framework.contracts import TableBlock
from framework_serving.advice.replication_advisor import setup_of
from framework_serving.advice.replication_rule import judge_replication
from framework_serving.sweeps.sweep_points import Curve, SweepPoint, comparable_groups, curves, variant

MAX_POINTS = 30
_Columns = tuple[tuple[str, str, float], ...]
"""Heading, metric, and what to multiply it with for that heading."""
_SERVICE_COLUMNS: _Columns = (
    ("requests/s", "requests_s", 1.0),
    ("goodput/s", "goodput_requests_s", 1.0),
    ("starved", "starved", 1.0),
    ("adapters starved", "adapters_starved", 1.0),
    ("fairness", "fairness_jain", 1.0),
)
_COLUMNS: _Columns = (
    ("tok/s", "total_tok_s", 1.0),
    ("ITL ms", "itl_mean_ms", 1.0),
    ("p99 ITL ms", "itl_p99_ms", 1.0),
    ("TTFT s", "ttft_mean_ms", 1e-3),
    ("KV peak %", "kv_usage_peak", 100.0),
    ("running", "running_mean", 1.0),
    ("preempted", "preemptions", 1.0),
    ("J/token", "energy_j_per_token", 1.0),
)


def result_tables(points: Sequence[SweepPoint]) -> Iterator[TableBlock]:
    """Yield one table a model: the sweep over the batch ceiling, or the points if nothing was swept so."""
    swept = [curve for curve in curves(points) if len(curve.points) > 1]
    for model in dict.fromkeys(curve.first.model for curve in swept):
        own = [curve for curve in swept if curve.first.model == model]
        main = max(own, key=_prominence)
        others = len(own) - 1
        first = main.first
        yield TableBlock(
            title=f"{model} on {first.gpu} · {first.workload}, {variant(first)}",
            columns=("batch", *(name for name, _, _ in _COLUMNS)),
            rows=[(point.max_num_seqs, *point.scaled(_COLUMNS)) for point in main.points],
            caption=f"{others} more sweeps of this model are in the report and in `results`."
            if others
            else "",
        )
    if not swept and points:
        yield _points_table(points)


def _prominence(curve: Curve) -> tuple[bool, int, bool]:
    return (curve.first.replicas == 1, len(curve.points), not curve.first.chunked_prefill)


def _points_table(points: Sequence[SweepPoint]) -> TableBlock:
    """Return the points with what their sweep varied, and the columns that any of them has a value for."""
    columns = tuple(
        column
        for column in (*_SERVICE_COLUMNS, *_COLUMNS)
        if any(point.value(column[1]) is not None for point in points)
    )
    varied = sorted({name for point in points for name in point.varied if name != "model"})
    shown = points[:MAX_POINTS]
    left = len(points) - len(shown)
    return TableBlock(
        title="Serving runs",
        columns=("model", *(name.rpartition(".")[2] for name in varied), *(name for name, _, _ in columns)),
        rows=[
            (point.model, *(_param(point, name) for name in varied), *point.scaled(columns))
            for point in shown
        ],
        caption=f"{left} more in `results`." if left else "",
    )


def _param(point: SweepPoint, name: str) -> str | None:
    return point.params.get(name, point.params.get(f"{name}.name"))


def baseline_table(points: Sequence[SweepPoint]) -> TableBlock | None:
    """Return the best replicated setup of each model against every baseline; None without replicas."""
    rows: list[tuple[Any, ...]] = []
    for group in comparable_groups(points):
        verdict = judge_replication([setup_of(point) for point in group])
        if verdict is None:
            continue
        best = verdict.best
        rows.append(
            (group[0].model, "best replicas", best.label, best.throughput.value, best.latency_ms, None, "")
        )
        for item in verdict.comparisons:
            low, high = item.gain.interval(0.0)
            interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
            setup = item.setup
            rows.append(
                (
                    group[0].model,
                    item.name,
                    setup.label,
                    setup.throughput.value,
                    setup.latency_ms,
                    100 * item.gain.value,
                    interval,
                )
            )
    if not rows:
        return None
    return TableBlock(
        title="Replicas on one GPU compared with single engines",
        columns=("model", "baseline", "setup", "tok/s", "ITL ms", "gain of the replicas %", "interval %"),
        rows=rows,
        caption="MAX is the largest batch without preemption. For runs without an interval, 4 % "
        "noise is assumed for each.",
    )
