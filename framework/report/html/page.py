"""The report of an experiment as one HTML file: everything inline, no network, readable from file://."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework import plugins
from framework.contracts import ReportScope, ReportSection, TableBlock
from framework.report import overview, plugin_blocks
from framework.report.answer import read_answer
from framework.report.html.file_links import LinkedFile
from framework.report.html.rendering import ReportContent, page_html
from framework.report.plugin_blocks import PluginProblem
from framework.report.run_table import read_run_table
from framework.report.scope import condition_of
from framework.report.series_colours import store_colours
from framework.store.durable import write_whole

MAX_RUNS = 2000
MAX_FAILURES = 200
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class RenderedReport:
    """A page, and the plugins that could not contribute to it."""

    html: str
    problems: tuple[PluginProblem, ...]


def save_report(report: RenderedReport, out_dir: Path) -> Path:
    """Write a rendered report as `report.html`, whole or not at all; raises `StoreError` if that fails."""
    file = out_dir / REPORT_FILE
    write_whole(file, report.html.encode("utf-8", "backslashreplace"))
    return file


def render_report(
    scope: ReportScope,
    notes: Sequence[str] = (),
    files: Sequence[LinkedFile] = (),
    *,
    names: Sequence[str] = (),
    compared: Sequence[TableBlock] = (),
) -> RenderedReport:
    """Return the page about the runs of a scope.

    Args:
        scope: the experiment and its runs.
        notes: lines that the reader must see first, e.g. what is left out.
        files: what the runs keep, with links from where the page will be.
        names: the experiments of the scope; empty: the one that it names.
        compared: tables that compare them; shown first of the sections.
    """
    store, run_ids = scope.store, scope.run_ids
    contributed, problems = plugin_blocks.report_sections(scope)
    names = names or [scope.experiment]
    if compared:
        contributed.insert(0, ReportSection("Comparison", list(compared)))
    warnings = [*notes, *(f"A section is missing: {problem}." for problem in problems)]
    if not run_ids:
        warnings.append("This experiment has no runs yet.")
    content = ReportContent(
        experiment=scope.experiment,
        overview=overview.read_overview(store, run_ids),
        warnings=warnings,
        contributed=contributed,
        advice=overview.read_advice(store, names, run_ids),
        runs=read_run_table(store, run_ids, plugins.metric_definitions(), MAX_RUNS),
        failures=overview.read_failures(store, run_ids, MAX_FAILURES),
        findings=overview.read_findings(store, run_ids),
        files=files,
        provenance=overview.read_provenance(store, run_ids),
        answer=read_answer(store, names, run_ids),
        colours=store_colours(store),
        runs_in_sql=condition_of(store, run_ids),
    )
    return RenderedReport(page_html(content), tuple(problems))
