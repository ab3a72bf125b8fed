"""Hooks of the real engine. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from framework.contracts import DoctorCheck, MetricDefinition

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of `backend=vllm` and `backend=vllm_offline`."""
    from framework_vllm.offline.settings import OfflineSettings
    from framework_vllm.settings import VllmSettings

    return (("backend", "vllm_schema", VllmSettings), ("backend", "vllm_offline_schema", OfflineSettings))


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """What the client saw of each request, the engine's own histograms, and steps of the lock-step engine."""
    from framework_vllm.client.load_contracts import client_requests_schema
    from framework_vllm.offline.steps import offline_steps
    from framework_vllm.tables import engine_histograms

    return {
        "client_requests": client_requests_schema(),
        "engine_histograms": engine_histograms(),
        "offline_steps": offline_steps(),
    }


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the engine counts itself, and what the lock-step engine measures."""
    from framework_vllm.engine_metrics.engine_counts import ENGINE_METRICS
    from framework_vllm.offline.steps import OFFLINE_METRICS

    return (*ENGINE_METRICS, *OFFLINE_METRICS)


@hookimpl
def sql_views() -> Sequence[str]:
    """View `offline_points`: one row a point of a lock-step grid."""
    from framework_vllm.offline.steps import OFFLINE_POINTS_VIEW

    return (OFFLINE_POINTS_VIEW,)


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Whether an engine can run here, on what, and under how large a load."""
    from framework_vllm.doctor import checks

    return checks()


@hookimpl
def engine_commands(config: Mapping[str, Any]) -> Iterable[str]:
    """`vllm serve …` for the settings of any serving run, that of the twin too."""
    from framework_serving.advice.paste_command import paste_commands

    return list(paste_commands(config))
