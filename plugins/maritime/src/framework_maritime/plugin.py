"""The hooks of the maritime plugin. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import DoctorCheck, MetricDefinition, ReportScope, ReportSection, TableBlock
from framework.hookspecs import hookimpl

if TYPE_CHECKING:
    import pyarrow as pa
    import typer


@hookimpl
def config_search_path() -> str:
    """Configuration groups of this plugin."""
    return str(Path(__file__).with_name("conf"))


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of workloads and backends."""
    from framework_maritime import settings

    return (
        ("workload", "ais_schema", settings.AisSettings),
        ("workload", "ais_synthetic_schema", settings.SyntheticAisSettings),
        ("backend", "ship_emissions_schema", settings.EmissionSettings),
        ("backend", "ship_forecast_schema", settings.ForecastSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of a maritime run."""
    from framework_maritime.study.tables import schemas

    return schemas()


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the metrics mean."""
    from framework_maritime.study.metric_definitions import MARITIME_METRICS

    return MARITIME_METRICS


@hookimpl
def verbs(app: typer.Typer) -> None:
    """`phases RUN`: where did a run's behaviour change?"""
    from framework_maritime.study.phases_verb import phases

    app.command("phases")(phases)


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Which optional packages are there."""
    from framework_maritime.study.doctor import checks

    return checks()


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Imputers and forecasters side by side when a sweep ends."""
    from framework_maritime.study.comparison_tables import tables

    return tables(scope)


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., float]]:
    """What the claims of `maritime_emissions` are computed from."""
    from framework_maritime.study.claim_quantities import computations

    return computations(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Maps, totals and intervals of a maritime study; phases of any run with samples."""
    from framework_maritime.study.emission_report import sections
    from framework_maritime.study.phases_report import phase_sections

    return [*sections(scope), *phase_sections(scope)]
