"""What plugins contribute to reports; one that fails costs its own part, not the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from framework.contracts import ReportScope, ReportSection, TableBlock
from framework.plugins import metric_definitions as metric_definitions
from framework.plugins import plugin_manager


@dataclass(frozen=True)
class PluginProblem:
    """A plugin's hook that raised: its name, and the error in one line."""

    plugin: str
    hook: str
    error: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' failed in {self.hook}: {self.error}"


def report_sections(scope: ReportScope) -> tuple[list[ReportSection], list[PluginProblem]]:
    """Return the plugins' sections by their `order`, and what went wrong."""
    problems: list[PluginProblem] = []
    sections = list(_gathered("report_sections", scope, problems.append))
    return sorted(sections, key=lambda section: section.order), problems


def sweep_tables(scope: ReportScope) -> tuple[list[TableBlock], list[PluginProblem]]:
    """Return the tables that plugins show when a sweep ends, and what went wrong."""
    problems: list[PluginProblem] = []
    return list(_gathered("sweep_tables", scope, problems.append)), problems


def _gathered(hook: str, scope: ReportScope, report: Callable[[PluginProblem], None]) -> Iterator[Any]:
    for implementation in getattr(plugin_manager().hook, hook).get_hookimpls():
        arguments = {"scope": scope} if "scope" in implementation.argnames else {}
        try:
            found: Iterable[Any] = list(implementation.function(**arguments) or ())
        except Exception as error:  # a third party's hook may raise anything
            line = (str(error).splitlines() or [""])[0]
            report(PluginProblem(implementation.plugin_name, hook, f"{type(error).__name__}: {line}"))
            continue
        yield from found
