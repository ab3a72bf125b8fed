"""Hooks of the machine's collectors. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.contracts import DoctorCheck, Importer, MetricDefinition, ReportScope, ReportSection

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the collectors."""
    from framework_metrics import settings
    from framework_metrics.nsight.settings import NsightSettings

    return (
        ("metrics", "nvml_schema", settings.NvmlSettings),
        ("metrics", "energy_schema", settings.EnergySettings),
        ("metrics", "host_schema", settings.HostSettings),
        ("metrics", "nsight_schema", NsightSettings),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of the collectors."""
    from framework_metrics.host.tables import host_processes
    from framework_metrics.nsight import tables as nsight

    return {
        "host_processes": host_processes(),
        "gpu_time": nsight.gpu_time(),
        "gpu_kernels": nsight.gpu_kernels(),
        "gpu_kernel_counters": nsight.kernel_counters(),
    }


@hookimpl
def importers() -> Iterable[Importer]:
    """`import dmon|nvidia-smi|gpu-series|nsight FILE`."""
    from framework_metrics.importers import IMPORTERS
    from framework_metrics.nsight.importer import kineto_importer, nsight_importer

    return (*IMPORTERS, nsight_importer(), kineto_importer())


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the collectors' metrics mean."""
    from framework_metrics.metric_definitions import MACHINE_METRICS
    from framework_metrics.nsight.metric_definitions import NSIGHT_METRICS

    return (*MACHINE_METRICS, *NSIGHT_METRICS)


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """What of this machine can be measured."""
    from framework_metrics.doctor import checks
    from framework_metrics.nsight.doctor import nsight_checks

    return (*checks(), *nsight_checks())


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """What the collectors, and Nsight, measured of the runs."""
    from framework_metrics import machine_report
    from framework_metrics.nsight import report as nsight_report

    return (*machine_report.sections(scope), *nsight_report.sections(scope))
