"""What plugins contribute to reports; one that fails costs its own part, not the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from framework.analysis.claims.reproduction_card import reproduction_card
from framework.contracts import ReportScope, ReportSection, TableBlock
from framework.errors import UserError, one_line
from framework.plugins import plugin_manager

CLAIMS_TITLE = "Reproduction of the paper's claims"


@dataclass(frozen=True)
class PluginProblem:
    """What could not be contributed: what failed, and the error in one line."""

    what: str
    error: str

    def __str__(self) -> str:
        return f"{self.what}: {self.error}"


def report_sections(scope: ReportScope) -> tuple[list[ReportSection], list[PluginProblem]]:
    """Return the plugins' sections by their `order`, and what went wrong."""
    problems: list[PluginProblem] = []
    sections = list(_gathered("report_sections", scope, problems.append))
    sections += [ReportSection(CLAIMS_TITLE, [card], 40) for card in _card(scope, problems.append)]
    return sorted(sections, key=lambda section: section.order), problems


def sweep_tables(scope: ReportScope) -> tuple[list[TableBlock], list[PluginProblem]]:
    """Return the tables that plugins show when a sweep ends, and what went wrong."""
    problems: list[PluginProblem] = []
    tables = list(_gathered("sweep_tables", scope, problems.append))
    return [*tables, *_card(scope, problems.append)], problems


def _card(scope: ReportScope, report: Callable[[PluginProblem], None]) -> list[TableBlock]:
    """Return the reproduction card of an experiment that has a claims file."""
    try:
        card = reproduction_card(scope)
    except Exception as error:  # the computations are plugins'
        report(PluginProblem("reproduction card", _line_of(error)))
        return []
    return [] if card is None else [card]


def _gathered(hook: str, scope: ReportScope, report: Callable[[PluginProblem], None]) -> Iterator[Any]:
    for implementation in getattr(plugin_manager().hook, hook).get_hookimpls():
        arguments = {"scope": scope} if "scope" in implementation.argnames else {}
        try:
            found: Iterable[Any] = list(implementation.function(**arguments) or ())
        except Exception as error:  # a third party's hook may raise anything
            report(PluginProblem(f"plugin '{implementation.plugin_name}' failed in {hook}", _line_of(error)))
            continue
        yield from found


def _line_of(error: Exception) -> str:
    return one_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
