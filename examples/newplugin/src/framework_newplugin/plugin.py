"""The hooks of this plugin, and nothing else.

KEEP THIS MODULE LIGHT: every command imports it. Import what is heavy inside the function that needs it; the classes
that the configuration names are imported only when a run uses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.contracts import (
    DoctorCheck,
    MetricDefinition,
    ReportScope,
    ReportSection,
    Result,
    SanityCheck,
    TableBlock,
    WorkloadTables,
)
from framework.hookspecs import hookimpl

if TYPE_CHECKING:
    import pyarrow as pa


@hookimpl
def config_search_path() -> str:
    """Add `conf/` of this package to the groups of the configuration."""
    return str(Path(__file__).with_name("conf"))


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Give the keys of the configuration their types."""
    from framework_newplugin.settings import BackendConf, WorkloadConf

    return [
        ("backend", "newplugin_schema", BackendConf),
        ("workload", "newplugin_items_schema", WorkloadConf),
    ]


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Declare the table that the runs hold."""
    import pyarrow as pa

    columns = {"item_id": pa.int64(), "start_s": pa.float64(), "end_s": pa.float64()}
    return {
        "newplugin_processing": pa.schema(
            [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
        )
    }


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """Say what the metrics mean, in which unit they are and which direction is better."""
    return [
        MetricDefinition("newplugin_items_s", "1/s", "Items processed a second.", "higher"),
        MetricDefinition(
            "newplugin_busy", "", "Busy time of the workers over their available time (0-1).", "higher"
        ),
    ]


@hookimpl
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    """Check that a run did what it claims. Every run comes here: leave those of other plugins alone."""
    processing = result.tables.get("newplugin_processing")
    if processing is None or workload is None:
        return []
    came, went = workload.tables["items"].num_rows, processing.num_rows
    return [SanityCheck("newplugin_all_items", "pass" if came == went else "fail", f"{went} of {came}")]


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Say whether this machine has what the plugin needs, and the line that helps if not."""
    return [DoctorCheck("newplugin", True, "needs nothing but Python")]


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Print a table when a sweep ends."""
    from framework_newplugin.report import table

    return table(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Add a section to the HTML report."""
    from framework_newplugin.report import section

    return section(scope)
