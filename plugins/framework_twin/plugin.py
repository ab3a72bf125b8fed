"""Hooks of the digital twin. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schema of `backend=twin`."""
    from framework_twin.settings import TwinSettings

    return (("backend", "twin_schema", TwinSettings),)
