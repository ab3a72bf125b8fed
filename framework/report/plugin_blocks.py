"""What plugins contribute to reports; one that fails costs its own part, not the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from framework.analysis.claims.reproduction_card import reproduction_card
from framework.contracts import ReportScope, ReportSection, TableBlock
from framework.errors import UserError, one_line
from framework.plugins import FAULTS, PluginProblem, called, items_of, plugin_manager, problem_of
from framework.report.overview import advice_table

__all__ = ["CLAIMS_TITLE", "PluginProblem", "report_sections", "run_sections", "sweep_tables"]

CLAIMS_TITLE = "Reproduction of the paper's claims"


def report_sections(scope: ReportScope) -> tuple[list[ReportSection], list[PluginProblem]]:
    """Return the plugins' sections by their `order`, and what went wrong."""
    problems: list[PluginProblem] = []
    sections = list(_gathered("report_sections", ReportSection, scope, problems.append))
    sections += [ReportSection(CLAIMS_TITLE, [card], 40) for card in _card(scope, problems.append)]
    return sorted(sections, key=lambda section: section.order), problems


def run_sections(scope: ReportScope) -> tuple[list[ReportSection], list[PluginProblem]]:
    """Return what plugins say of the one run of the scope, by `order`, and what went wrong."""
    problems: list[PluginProblem] = []
    sections = list(_gathered("run_sections", ReportSection, scope, problems.append))
    return sorted(sections, key=lambda section: section.order), problems


def sweep_tables(scope: ReportScope) -> tuple[list[TableBlock], list[PluginProblem]]:
    """Return the tables that are shown when a sweep ends: plugins' own, advice, claims; and what went wrong."""
    problems: list[PluginProblem] = []
    tables = list(_gathered("sweep_tables", TableBlock, scope, problems.append))
    advice = advice_table(scope)
    return [*tables, *([advice] if advice else []), *_card(scope, problems.append)], problems


def _card(scope: ReportScope, report: Callable[[PluginProblem], None]) -> list[TableBlock]:
    """Return the reproduction card of an experiment that has a claims file."""
    try:
        card = reproduction_card(scope)
    except FAULTS as error:
        report(PluginProblem("reproduction card", _line_of(error)))
        return []
    return [] if card is None else [card]


def _gathered(
    hook: str, kind: type, scope: ReportScope, report: Callable[[PluginProblem], None]
) -> Iterator[Any]:
    for implementation in getattr(plugin_manager().hook, hook).get_hookimpls():
        try:
            found = items_of(called(implementation, {"scope": scope}), kind)
        except FAULTS as error:
            report(problem_of(implementation.plugin_name, hook, error))
            continue
        yield from found


def _line_of(error: BaseException) -> str:
    return one_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}"
