"""Hooks of the serving domain. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa
    import typer

    from framework.contracts import (
        Deployed,
        Importer,
        Metric,
        MetricDefinition,
        ReportScope,
        ReportSection,
        Result,
        SanityCheck,
        TableBlock,
        WorkloadTables,
    )
    from framework.quantity import Quantity

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the workloads."""
    from framework_serving.workloads import settings

    return (
        ("workload", "serving_synthetic", settings.SyntheticSettings),
        ("workload", "serving_adapters", settings.AdapterMixSettings),
        ("workload", "serving_trace", settings.TraceSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of a serving run's result."""
    from framework_serving import tables

    return {"requests": tables.requests_out()}


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the serving metrics mean."""
    from framework_serving.metrics.metric_definitions import SERVING_METRICS

    return SERVING_METRICS


@hookimpl
def derived_metrics(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[Metric]:
    """Serving metrics from a run's request table and samples."""
    from framework_serving.metrics.serving_metrics import derive

    return derive(config, workload, result)


@hookimpl
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    """Whether a serving run did what it claims."""
    from framework_serving.metrics.sanity import check

    return check(workload, result)


@hookimpl
def sql_views() -> Sequence[str]:
    """View `adapter_stats`, what each adapter of each run got; `serving_points` and macro `serving_front`."""
    from framework_serving.fronts.front_sql import SERVING_FRONT_MACRO, SERVING_POINTS_VIEW
    from framework_serving.metrics.adapter_stats import ADAPTER_STATS_VIEW

    return (ADAPTER_STATS_VIEW, SERVING_POINTS_VIEW, SERVING_FRONT_MACRO)


@hookimpl
def importers() -> Iterable[Importer]:
    """Results that other load generators wrote, and tables of runs."""
    from framework_serving.importers import importers as known

    return known()


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Results by model, replication, advice."""
    from framework_serving.report.serving_sections import terminal_tables

    return list(terminal_tables(scope))


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Figures, replication."""
    from framework_serving.report.serving_sections import sections

    return list(sections(scope))


@hookimpl
def run_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Latencies of the requests, and what each adapter got."""
    from framework_serving.report.run_latencies import sections_of_run

    return list(sections_of_run(scope))


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity]]:
    """Quantities of papers on serving."""
    from framework_serving.claims.claim_quantities import computations
    from framework_serving.claims.evidence import Evidence
    from framework_serving.sweeps.sweep_points import load_points

    return computations(Evidence(scope.store, load_points(scope.store, scope.run_ids)))


@hookimpl
def deployments() -> Mapping[str, Callable[[Deployed], int]]:
    """Adapters on GPUs, as `place --out` writes them."""
    from framework_serving.advice.fleet import DEPLOYMENT_KIND

    def check(deployed: Deployed) -> int:
        from framework_serving.advice.fleet.place_verb import check_deployed

        return check_deployed(deployed)

    return {DEPLOYMENT_KIND: check}


@hookimpl
def verbs(app: typer.Typer) -> None:
    """`learn-adapters`, `place`."""
    from framework_serving.advice.fleet.verbs import add_verbs

    add_verbs(app)
