"""Plugin discovery: one pluggy manager over the entry-point group `framework.plugins`.

Built-in plugins come through the same door as a third party's. A plugin that fails to load is listed with
its error, never fatal.

Environment: `FRAMEWORK_PLUGINS=serving,twin` restricts discovery to the named entry points; an empty value
loads none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import pluggy

from framework import hookspecs
from framework.contracts import MetricDefinition
from framework.errors import one_line

ENTRY_POINT_GROUP = "framework.plugins"


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin as `plugins` lists it: name, module, distribution with version, hooks it implements, error."""

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True)
class Discovery:
    """The manager with everything registered, and a line on every plugin that was found.

    Attributes:
        packages: top-level packages of all installed plugins, those that `FRAMEWORK_PLUGINS` leaves out included.
    """

    manager: pluggy.PluginManager
    plugins: tuple[LoadedPlugin, ...]
    packages: frozenset[str]


def _wanted(found: EntryPoint) -> bool:
    allowed = os.environ.get("FRAMEWORK_PLUGINS")
    return allowed is None or found.name in {name.strip() for name in allowed.split(",")}


def _register(manager: pluggy.PluginManager, found: EntryPoint) -> LoadedPlugin:
    distribution = found.dist.name if found.dist else ""
    version = found.dist.version if found.dist else ""
    try:
        manager.register(found.load(), name=found.name)
    except Exception as error:  # a third party's import may raise anything
        # pluggy registers a module before it checks its hooks against the specifications
        if manager.has_plugin(found.name):
            manager.unregister(name=found.name)
        reason = f"{type(error).__name__}: {one_line(error)}"
        return LoadedPlugin(found.name, found.value, distribution, version, (), reason)
    callers = manager.get_hookcallers(manager.get_plugin(found.name)) or []
    hooks = tuple(sorted(caller.name for caller in callers))
    return LoadedPlugin(found.name, found.value, distribution, version, hooks)


@cache
def discover() -> Discovery:
    """Find, import and register all plugins, once a process."""
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    found = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    plugins = tuple(_register(manager, found[name]) for name in sorted(found) if _wanted(found[name]))
    return Discovery(manager, plugins, frozenset(point.module.partition(".")[0] for point in found.values()))


def plugin_manager() -> pluggy.PluginManager:
    """Return the manager; call hooks as `plugin_manager().hook.importers()`."""
    return discover().manager


def metric_definitions() -> dict[str, MetricDefinition]:
    """Return what the plugins' metrics mean, by name, in the order in which they are defined.

    The first definition of a name is used (pluggy calls the plugin that came last first).
    """
    definitions: dict[str, MetricDefinition] = {}
    for defined in reversed(plugin_manager().hook.metric_definitions()):
        for definition in defined:
            definitions.setdefault(definition.name, definition)
    return definitions
