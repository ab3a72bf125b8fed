"""The report of an experiment as one HTML file: everything inline, no network, readable from file://."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from framework.contracts import ReportScope
from framework.errors import UserError
from framework.report import plugin_blocks
from framework.report.html import html_overview as parts
from framework.report.html.html_blocks import FigureNumbers, section_html, text_html, wrap_section
from framework.report.html.html_run_table import run_table_html
from framework.report.overview import (
    read_advice,
    read_failures,
    read_findings,
    read_overview,
    read_provenance,
)
from framework.report.plugin_blocks import PluginProblem
from framework.report.run_table import read_run_table

MAX_RUNS = 2000
MAX_FAILURES = 200
REPORT_FILE = "report.html"

# Nothing may be fetched, whatever a figure's specification says. plotly.js's WebGL traces compile code.
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


@dataclass(frozen=True)
class RenderedReport:
    """A page, and the plugins that could not contribute to it."""

    html: str
    problems: tuple[PluginProblem, ...]


@dataclass(frozen=True)
class _Section:
    title: str
    anchor: str
    html: str


def write_report(scope: ReportScope, out_dir: Path) -> Path:
    """Write `report.html` into a folder, whole or not at all, and return its path.

    Raises:
        UserError: the folder can't be written.
        StoreError: the store can't be read.
    """
    return save_report(render_report(scope), out_dir)


def save_report(report: RenderedReport, out_dir: Path) -> Path:
    """Write a rendered report as `report.html`; raises `UserError` if the folder can't be written."""
    file = out_dir / REPORT_FILE
    temporary = out_dir / f".{REPORT_FILE}.part"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        temporary.write_text(report.html, encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        raise UserError(f"report '{file}' can't be written: {error.strerror}") from error
    return file


def render_report(scope: ReportScope, notes: Sequence[str] = ()) -> RenderedReport:
    """Return the page about the runs of a scope.

    Args:
        scope: the experiment and its runs.
        notes: lines that the reader must see first, e.g. what is left out.
    """
    overview = read_overview(scope.store, scope.run_ids)
    figures = FigureNumbers()
    contributed, problems = plugin_blocks.report_sections(scope)
    sections = [
        _Section(section.title, anchor, section_html(section, anchor, figures))
        for number, section in enumerate(contributed, start=1)
        for anchor in [f"{_slug(section.title)}-{number}"]
    ]
    sections += _own_sections(scope, sum(overview.by_status.get(state, 0) for state in ("failed", "stale")))
    warnings = [*notes, *(f"A section is missing: {problem}." for problem in problems)]
    if not scope.run_ids:
        warnings.append("This experiment has no runs yet.")
    head = (
        f"<header><h1>{escape(scope.experiment)}</h1>"
        f"{parts.meta_html(overview, datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S'))}"
        f"{parts.tiles_html(overview)}"
        + "".join(f'<p class="note warn">{escape(warning)}</p>' for warning in warnings)
        + "</header>"
    )
    return RenderedReport(_page(scope.experiment, head, sections, figures.count), tuple(problems))


def _own_sections(scope: ReportScope, failures: int) -> Iterator[_Section]:
    """Yield what every report has: advice, results, failures, sanity, provenance."""
    store, run_ids = scope.store, scope.run_ids
    advice = read_advice(store, scope.experiment, run_ids)
    if advice:
        yield _section("Advice", parts.advice_html(advice, scope.experiment))
    runs = read_run_table(store, run_ids, plugin_blocks.metric_definitions(), MAX_RUNS)
    yield _section("Results", run_table_html(runs, scope.experiment))
    if failures:
        yield _section("Failures", parts.failures_html(read_failures(store, run_ids, MAX_FAILURES), failures))
    findings = parts.findings_html(read_findings(store, run_ids))
    if findings:
        yield _section("Sanity", findings)
    yield _section("Provenance", parts.provenance_html(read_provenance(store, run_ids)))


def _section(title: str, body: str) -> _Section:
    anchor = _slug(title)
    return _Section(title, anchor, wrap_section(title, anchor, body))


def _page(experiment: str, head: str, sections: Sequence[_Section], figures: int) -> str:
    links = "".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in sections)
    plotly = f"<script>{_plotly_js()}</script>\n" if figures else ""
    body = "\n".join(section.html for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">'
        f"<title>{escape(experiment)} · report</title>\n<style>{_asset('report.css')}</style></head>\n"
        f'<body>{head}\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>{body}</main>\n'
        f"<footer>{text_html('Made by framework-lab. Everything on this page is in the file itself.')}</footer>\n"
        f"{plotly}<script>{_asset('report.js')}</script></body></html>\n"
    )


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


def _asset(name: str) -> str:
    return (files("framework.report.html") / "assets" / name).read_text(encoding="utf-8")


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
