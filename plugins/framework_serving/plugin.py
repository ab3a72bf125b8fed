"""Hooks of the serving domain. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from framework.contracts import Metric, MetricDefinition, Result, SanityCheck, WorkloadTables

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the workloads."""
    from framework_serving import settings

    return (
        ("workload", "serving_synthetic", settings.SyntheticSettings),
        ("workload", "serving_adapters", settings.AdapterMixSettings),
        ("workload", "serving_trace", settings.TraceSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of a serving run's result."""
    from framework_serving import tables

    return {"requests": tables.requests_out(), "samples": tables.samples()}


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the serving metrics mean."""
    from framework_serving.metric_definitions import SERVING_METRICS

    return SERVING_METRICS


@hookimpl
def derived_metrics(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[Metric]:
    """Serving metrics from a run's request table and samples."""
    from framework_serving.metrics import derive

    return derive(config, workload, result)


@hookimpl
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    """Whether a serving run did what it claims."""
    from framework_serving.sanity import check

    return check(workload, result)
