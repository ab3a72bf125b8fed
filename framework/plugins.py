"""Plugin discovery: one pluggy manager over the entry-point group `framework.plugins`.

Built-in plugins come through the same door as a third party's. A plugin that fails to load is listed with
its error, never fatal.

Environment: `FRAMEWORK_PLUGINS=serving,twin` restricts discovery to the named entry points; an empty value
loads none.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from framework import hookspecs
from framework.contracts import MetricDefinition
from framework.contracts.declared_types import misfit
from framework.errors import ConfigError, UserError, one_line

ENTRY_POINT_GROUP = "framework.plugins"
FAULTS = (Exception, SystemExit)
"""What a third party's code may raise: `sys.exit` ends a program of its own, not ours."""

TRACE = "FRAMEWORK_TRACE_HOOKS"
"""Environment variable: if it is not empty, every call of a hook is a line on standard error."""

SLOW_S = 2.0
"""A hook that takes longer than this, other than those that work on runs, is named."""

_WORK_ON_RUNS = frozenset(
    [
        "derived_metrics",
        "sanity_checks",
        "sweep_tables",
        "report_sections",
        "run_sections",
        "claim_computations",
        "doctor_checks",
    ]
)


@dataclass(frozen=True)
class PluginProblem:
    """What could not be contributed: what failed, and the error in one line; or what was contributed late.

    Attributes:
        is_failure: False for a hook that was slow: a busy machine is no fault of a plugin.
    """

    what: str
    error: str
    is_failure: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


class PluginError(Exception):
    """A hook failed where the command can't go on without it; names the plugin."""

    def __init__(self, plugin: str, hook: str, cause: BaseException) -> None:
        super().__init__(str(problem_of(plugin, hook, cause)))
        self.failure_kind = type(cause).__name__


def problem_of(plugin: str, hook: str, error: BaseException) -> PluginProblem:
    """Return what a hook's failure is called everywhere."""
    reason = one_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
    return PluginProblem(f"plugin '{plugin}' failed in {hook}", reason)


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
        problems: what hooks failed at so far; the command line prints them at its end.
        clashes: one line for each name that several distributions claim; none of them is loaded.
    """

    manager: pluggy.PluginManager
    plugins: tuple[LoadedPlugin, ...]
    packages: frozenset[str]
    clashes: tuple[str, ...] = ()
    problems: list[PluginProblem] = field(default_factory=list)

    def note(self, problem: PluginProblem) -> None:
        """Keep a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)


def _wanted(found: EntryPoint) -> bool:
    allowed = os.environ.get("FRAMEWORK_PLUGINS")
    return allowed is None or found.name in {name.strip() for name in allowed.split(",")}


def _register(manager: pluggy.PluginManager, found: EntryPoint) -> LoadedPlugin:
    distribution = found.dist.name if found.dist else ""
    version = found.dist.version if found.dist else ""
    try:
        manager.register(found.load(), name=found.name)
    except FAULTS as error:
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
    claimed: dict[str, dict[str, EntryPoint]] = defaultdict(dict)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        claimed[point.name].setdefault(point.dist.name if point.dist else point.value, point)
    plugins, clashes = [], []
    for name in sorted(name for name, points in claimed.items() if _wanted(next(iter(points.values())))):
        (first, *others) = claimed[name].values()
        if others:
            clash = f"several distributions name a plugin '{name}': {' and '.join(sorted(claimed[name]))}"
            clashes.append(clash)
            for owner, point in sorted(claimed[name].items()):
                version = point.dist.version if point.dist else ""
                plugins.append(LoadedPlugin(name, point.value, owner, version, (), clash))
        else:
            plugins.append(_register(manager, first))
    packages = {point.module.partition(".")[0] for points in claimed.values() for point in points.values()}
    return Discovery(manager, tuple(plugins), frozenset(packages), tuple(clashes))


def check_names() -> None:
    """Raise `ConfigError` if several distributions claim one plugin's name: ours is not to guess which is meant."""
    for clash in discover().clashes:
        raise ConfigError(f"{clash}; uninstall one of them, or name the plugins to load in FRAMEWORK_PLUGINS")


def plugin_manager() -> pluggy.PluginManager:
    """Return the manager. Hooks are called by `ask`, which keeps a plugin that fails from failing the command."""
    return discover().manager


def ask(
    hook: str, kind: type | tuple[type, ...] | None = None, **arguments: Any
) -> Iterator[tuple[str, Any]]:
    """Yield (plugin, what it returned) for each implementation of a hook, that of the plugin loaded last first.

    An implementation that raises, or returns what the hook doesn't allow, is left out and its plugin named at the
    command's end (`Discovery.problems`); a slow one is named too.

    Args:
        hook: name of the hook.
        kind: type of the items; the value is then a list of them. None: the value as it is, implementations that
            return None left out.
        arguments: what the hook is given.
    """
    for plugin, value, error in answers(hook, kind, arguments):
        if error is not None:
            discover().note(problem_of(plugin, hook, error))
        elif value is not None:
            yield plugin, value


def answers(
    hook: str, kind: type | tuple[type, ...] | None, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Any, BaseException | None]]:
    """Yield (plugin, what it returned, what it raised) for each implementation of a hook, as `ask` calls them."""
    for implementation in reversed(getattr(plugin_manager().hook, hook).get_hookimpls()):
        plugin = str(implementation.plugin_name)
        started_s = time.monotonic()
        try:
            value = called(implementation, arguments)
            value = value if kind is None else items_of(value, kind)
        except FAULTS as error:
            yield plugin, None, error
            continue
        took_s = time.monotonic() - started_s
        if took_s > SLOW_S and hook not in _WORK_ON_RUNS:
            discover().note(PluginProblem(f"plugin '{plugin}' is slow", f"{hook} took {took_s:.1f} s", False))
        yield plugin, value, None


def called(implementation: Any, arguments: Mapping[str, Any]) -> Any:
    """Call one implementation of a hook with those of the arguments that it takes, and trace that if asked to."""
    given = {name: arguments[name] for name in implementation.argnames}
    if not os.environ.get(TRACE):
        return implementation.function(**given)
    started_s = time.monotonic()
    came_to = "raised"
    try:
        value = implementation.function(**given)
        came_to = type(value).__name__ + (f" of {len(value)}" if hasattr(value, "__len__") else "")
        return value
    finally:
        took_ms = 1000 * (time.monotonic() - started_s)
        hook = implementation.function.__name__
        line = f"hook {hook} of plugin '{implementation.plugin_name}': {came_to}, {took_ms:.1f} ms"
        print(line, file=sys.stderr)


def items_of(value: Any, kind: type | tuple[type, ...]) -> list[Any]:
    """Return the items that a hook returned.

    Raises `TypeError` for anything that is no collection of `kind`, or an item whose fields hold what they can't.
    """
    wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"returned {type(value).__name__} instead of several {wanted}")
    items = list(value)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError(f"returned {type(item).__name__} instead of {wanted}")
        if wrong := misfit(item):
            raise TypeError(wrong)
    return items


def metric_definitions() -> dict[str, MetricDefinition]:
    """Return what the plugins' metrics mean, by name, in the order in which they are defined.

    The first definition of a name is used.
    """
    definitions: dict[str, MetricDefinition] = {}
    for _, defined in reversed(list(ask("metric_definitions", MetricDefinition))):
        for definition in defined:
            definitions.setdefault(definition.name, definition)
    return definitions
