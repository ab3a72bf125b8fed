"""What the serving domain adds to the terminal at the end of a sweep, and to the HTML report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from framework.contracts import Figure, ReportSection, TableBlock
from framework_serving.fronts.front_points import LATENCY, THROUGHPUT, undominated
from framework_serving.fronts.front_report import front_section, knee_table, replica_front_table
from framework_serving.physical.physical_report import physical_section
from framework_serving.report.adapter_charts import adapter_section
from framework_serving.report.adapter_costs import cost_section
from framework_serving.report.adapter_tables import adapter_tables
from framework_serving.report.charts import Axis, Style, batch_chart, tradeoff_chart
from framework_serving.report.open_loop import open_loop_section
from framework_serving.report.report_tables import baseline_table, result_tables
from framework_serving.sweeps.sweep_points import SweepPoint, curves, load_points

if TYPE_CHECKING:
    from framework.contracts import ReportScope


def terminal_tables(scope: ReportScope) -> Iterator[TableBlock]:
    """Yield results by model, knees, what replicas add."""
    points = load_points(scope.store, scope.run_ids)
    if not points:
        return
    of_adapters = list(adapter_tables(points))
    yield from of_adapters or result_tables(points)
    tables = (
        knee_table([point for point in points if not point.chunked_prefill] or points),
        baseline_table(points),
        replica_front_table(points),
    )
    for table in tables:
        if table is not None:
            yield table


def sections(scope: ReportScope) -> Iterator[ReportSection]:
    """Yield the report's sections on serving: the figures, and replication."""
    points = load_points(scope.store, scope.run_ids)
    if not points:
        return
    style = Style.of(curves(points))
    figures = _figures(scope, points, style)
    if figures:
        yield ReportSection("Throughput, latency and memory", figures, order=20)
    further = (
        adapter_section(scope.store, points, scope.run_ids),
        cost_section(points),
        front_section(points, style),
        open_loop_section(points),
        physical_section(scope, points, style),
    )
    for section in further:
        if section is not None:
            yield section
    baselines = baseline_table(points)
    if baselines is not None:
        yield ReportSection("Replication", [baselines], order=30)


def _figures(
    scope: ReportScope, points: Sequence[SweepPoint], style: Style
) -> list[Figure | TableBlock | str]:
    found = curves(points)
    swept = [curve for curve in found if len(curve.points) > 1]
    single = [curve for curve in swept if curve.first.replicas == 1]
    figures = [
        batch_chart(
            "Throughput against batch",
            Axis("total throughput (tok/s, input + output)"),
            "total_tok_s",
            swept,
            style,
            "Total tokens per second over all replicas. Open markers: requests were preempted. "
            "Grey legend entries are other workloads: click to show.",
        ),
        batch_chart(
            "Latency against batch",
            Axis("mean inter-token latency (ms)", log=True),
            "itl_mean_ms",
            single,
            style,
            "Mean gap between successive tokens of a request, one engine.",
        ),
        batch_chart(
            "KV cache usage against batch",
            Axis("peak usage of the KV cache (%)"),
            "kv_usage_peak",
            single,
            style,
            "Where throughput no longer grows and this is low, memory is free for other uses.",
            factor=100,
        ),
        tradeoff_chart(found, pareto_front(points), _advised(scope, points), style),
        batch_chart(
            "Running requests",
            Axis("running requests (mean over time)", log=True),
            "running_mean",
            single,
            style,
            "Below the configured limit if the token budget, the KV blocks or the end of the load limit the batch.",
        ),
        batch_chart(
            "Energy per token",
            Axis("energy (J per input + output token)", log=True),
            "energy_j_per_token",
            swept,
            style,
            "Mean power × duration / tokens of finished requests.",
        ),
    ]
    return [figure for figure in figures if figure is not None]


def pareto_front(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """Return the points no other point of the same model and workload beats in throughput and mean ITL."""
    return undominated(points, (THROUGHPUT, LATENCY))


def _advised(scope: ReportScope, points: Sequence[SweepPoint]) -> list[tuple[SweepPoint, str]]:
    """Return the runs that advice recommends, with the advisor and its rule."""
    import json

    rows = scope.store.query(
        "SELECT advisor, recommendation, facts, run_ids FROM advice WHERE experiment = ? "
        "AND advisor IN ('bca', 'replication') AND list_has_any(run_ids, ?::VARCHAR[]) ORDER BY advice_id",
        [scope.experiment, list(scope.run_ids)],
    ).to_pylist()
    found: list[tuple[SweepPoint, str]] = []
    for row in rows:
        wanted = json.loads(row["recommendation"])
        if not wanted:
            continue
        label = " ".join(filter(None, (row["advisor"], json.loads(row["facts"] or "{}").get("rule"))))
        found.extend(
            (point, label)
            for point in points
            if set(point.run_ids) & set(row["run_ids"]) and _matches(point, wanted)
        )
    return found


def _matches(point: SweepPoint, wanted: dict[str, object]) -> bool:
    """Whether a point is the recommended one; memory to give back is not a run's setting yet."""
    return all(
        point.params.get(name, "").lower() == str(value).lower()
        for name, value in wanted.items()
        if name.startswith("backend.") and name != "backend.gpu_memory_utilization"
    )
