"""Hooks of the machine's collectors. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.contracts import DoctorCheck, Importer, MetricDefinition

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the collectors."""
    from framework_metrics import settings

    return (
        ("metrics", "nvml_schema", settings.NvmlSettings),
        ("metrics", "energy_schema", settings.EnergySettings),
        ("metrics", "host_schema", settings.HostSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of the collectors."""
    from framework_metrics.host.tables import host_processes

    return {"host_processes": host_processes()}


@hookimpl
def importers() -> Iterable[Importer]:
    """`import dmon|nvidia-smi|gpu-series FILE`."""
    from framework_metrics.importers import IMPORTERS

    return IMPORTERS


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the collectors' metrics mean."""
    from framework_metrics.metric_definitions import MACHINE_METRICS

    return MACHINE_METRICS


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """What of this machine can be measured."""
    from framework_metrics.doctor import checks

    return checks()
