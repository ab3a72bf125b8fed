"""Hooks of the machine's collectors. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from framework.contracts import MetricDefinition

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
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the collectors' metrics mean."""
    from framework_metrics.metric_definitions import MACHINE_METRICS

    return MACHINE_METRICS
