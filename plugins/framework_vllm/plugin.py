"""Hooks of the real engine. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from framework.contracts import DoctorCheck, MetricDefinition

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schema of `backend=vllm`."""
    from framework_vllm.settings import VllmSettings

    return (("backend", "vllm_schema", VllmSettings),)


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """What the client saw of each request, and the engine's own histograms."""
    from framework_vllm.client.contracts import client_requests_schema
    from framework_vllm.tables import engine_histograms

    return {"client_requests": client_requests_schema(), "engine_histograms": engine_histograms()}


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the engine counts itself."""
    from framework_vllm.engine_metrics.engine_metrics import ENGINE_METRICS

    return ENGINE_METRICS


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Whether an engine can run here, on what, and under how large a load."""
    from framework_vllm.doctor import checks

    return checks()
