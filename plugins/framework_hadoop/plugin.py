"""Hooks of the data-engine domain. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    import typer

    from framework.contracts import (
        DoctorCheck,
        Importer,
        MetricDefinition,
        ReportScope,
        ReportSection,
        TableBlock,
    )

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the engines, the benchmarks and the prediction study."""
    from framework_hadoop.engines import engine_hooks
    from framework_hadoop.knowledge import knowledge_hooks

    return (*engine_hooks.config_schemas(), *knowledge_hooks.schemas())


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of an engine's run."""
    from framework_hadoop import tables

    return tables.schemas()


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the metrics of executions and of their prediction mean."""
    from framework_hadoop.engines import engine_hooks
    from framework_hadoop.knowledge import knowledge_hooks

    return (*engine_hooks.metric_definitions(), *knowledge_hooks.METRICS)


@hookimpl
def sql_views() -> Sequence[str]:
    """Executions with their verdicts, what they cost, what settings do: `execution_sql`."""
    from framework_hadoop.executions.execution_sql import STATEMENTS

    return STATEMENTS


@hookimpl
def importers() -> Iterable[Importer]:
    """Importers of recorded executions."""
    from framework_hadoop.engines import engine_hooks
    from framework_hadoop.knowledge import knowledge_hooks

    return (*engine_hooks.importers(), *knowledge_hooks.importers())


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Whether MapReduce and Spark can run here."""
    from framework_hadoop.engines import engine_hooks

    return tuple(engine_hooks.doctor_checks())


@hookimpl
def verbs(app: typer.Typer) -> None:
    """Verbs over recorded executions, and the guided study."""
    from framework_hadoop.knowledge import knowledge_hooks

    knowledge_hooks.add_verbs(app)


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Prediction and cost-time fronts of a sweep over knobs."""
    from framework_hadoop.engines import engine_hooks

    return engine_hooks.sweep_tables(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """What matters, best configurations, cost against time."""
    from framework_hadoop.knowledge import knowledge_hooks

    return knowledge_hooks.report_sections(scope)
