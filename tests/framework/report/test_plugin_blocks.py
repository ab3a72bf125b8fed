"""What plugins contribute: ordered, and a plugin that fails costs its own part only."""

from collections.abc import Iterator, Sequence
from typing import Any

import pluggy
import pyarrow as pa
import pytest

from framework import hookspecs
from framework.contracts import ReportScope, ReportSection, StoreReader, TableBlock
from framework.hookspecs import hookimpl
from framework.report import plugin_blocks
from framework.report.plugin_blocks import report_sections, run_sections, sweep_tables


class First:
    @hookimpl
    def report_sections(self, scope: ReportScope) -> list[ReportSection]:
        return [ReportSection("late", [scope.experiment], 90), ReportSection("early", [], 10)]


class Broken:
    @hookimpl
    def report_sections(self, scope: ReportScope) -> Iterator[ReportSection]:
        yield ReportSection("half a contribution is none", [])
        raise KeyError("runs\nsecond line")


class OfOneRun:
    @hookimpl
    def run_sections(self, scope: ReportScope) -> list[ReportSection]:
        return [ReportSection(f"of {scope.run_ids[0]}", [])]


class BrokenOnRuns:
    @hookimpl
    def run_sections(self, scope: ReportScope) -> list[ReportSection]:
        raise ValueError("no such column")


class Tables:
    @hookimpl
    def sweep_tables(self) -> list[TableBlock]:
        return [TableBlock("t", ("a",), [])]


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    for plugin in (First(), Broken(), OfOneRun(), BrokenOnRuns(), Tables()):
        manager.register(plugin, name=type(plugin).__name__)
    monkeypatch.setattr(plugin_blocks, "plugin_manager", lambda: manager)


@pytest.fixture
def scope() -> ReportScope:
    class EmptyStore:
        def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
            return pa.table({})

    store: StoreReader = EmptyStore()
    return ReportScope(store, "study", [])


def test_sections_come_in_their_order_and_a_failing_plugin_is_named(scope: ReportScope) -> None:
    sections, problems = report_sections(scope)
    assert [section.title for section in sections] == ["early", "late"]
    assert [str(problem) for problem in problems] == [
        "plugin 'Broken' failed in report_sections: KeyError: 'runs\\nsecond line'"
    ]


def test_sections_of_one_run_come_without_those_of_a_failing_plugin(scope: ReportScope) -> None:
    sections, problems = run_sections(ReportScope(scope.store, "study", ["run-1"]))
    assert [section.title for section in sections] == ["of run-1"]
    assert [str(problem) for problem in problems] == [
        "plugin 'BrokenOnRuns' failed in run_sections: ValueError: no such column"
    ]


def test_tables_of_a_hook_that_takes_no_scope_are_gathered(scope: ReportScope) -> None:
    tables, problems = sweep_tables(scope)
    assert [table.title for table in tables] == ["t"]
    assert problems == []
