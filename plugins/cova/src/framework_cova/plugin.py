"""The hooks of the camera plugin. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import DoctorCheck, MetricDefinition, ReportScope, ReportSection, TableBlock
from framework.hookspecs import hookimpl

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.quantity import Quantity


@hookimpl
def config_search_path() -> str:
    """Configuration groups of this plugin."""
    return str(Path(__file__).with_name("conf"))


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the workload and the backends."""
    from framework_cova import settings

    return (
        ("workload", "camera_schema", settings.CameraSettings),
        ("backend", "camera_student_schema", settings.SpecializationSettings),
        ("backend", "camera_drift_schema", settings.DriftSettings),
        ("backend", "camera_fleet_schema", settings.FleetSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of a camera's run."""
    from framework_cova.study.tables import schemas

    return schemas()


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the metrics mean."""
    from framework_cova.study.metric_definitions import CAMERA_METRICS

    return CAMERA_METRICS


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Which optional packages are there."""
    from framework_cova.study.doctor import checks

    return checks()


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Arms, policies and ways of sharing side by side when a sweep ends."""
    from framework_cova.findings.arm_tables import tables

    return tables(scope)


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity | float]]:
    """What the claims of `cova_specialization` are computed from."""
    from framework_cova.findings.claim_gains import computations

    return computations(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Gains, curves, pictures with boxes, and the map of motion."""
    from framework_cova.findings.camera_report import sections

    return sections(scope)
