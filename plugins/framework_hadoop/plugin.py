"""Hooks of the data-engine domain. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framework.contracts import Importer, MetricDefinition

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the prediction study."""
    from framework_hadoop import knowledge_hooks

    return (*knowledge_hooks.schemas(),)


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the metrics of executions and of their prediction mean."""
    from framework_hadoop import knowledge_hooks

    return (*knowledge_hooks.METRICS,)


@hookimpl
def importers() -> Iterable[Importer]:
    """Importers of recorded executions."""
    from framework_hadoop import knowledge_hooks

    return (*knowledge_hooks.importers(),)
