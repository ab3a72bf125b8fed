"""The content of a report as a page: templates with autoescape, so that no text of a run becomes markup."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from framework.analysis.number_format import ABSENT, count_noun, format_interval, format_value, is_number
from framework.contracts import Figure, ReportSection, TableBlock
from framework.report.answer import ReportAnswer
from framework.report.html.file_links import MAX_FILES, LinkedFile
from framework.report.html.page_figures import PageFigures
from framework.report.html.provenance_tables import full_provenance, short_provenance
from framework.report.html.results_table import is_number_text, results_content
from framework.report.overview import (
    FailedRun,
    GivenAdvice,
    Overview,
    ProvenanceItem,
    SanityFinding,
)
from framework.report.run_table import RunTable, short_names
from framework.report.series_colours import SeriesColours

MAX_BLOCK_ROWS = 500


@dataclass(frozen=True)
class ReportContent:
    """What a report shows.

    Attributes:
        warnings: lines that the reader must see first.
        contributed: the sections of plugins, in the order in which they are shown.
        failures: the latest failed and lost runs; the overview has their total.
        files: what the runs keep, those of the latest runs first.
        colours: of the series of its figures.
        runs_in_sql: condition that is true of the rows of `runs` that the report is about.
    """

    experiment: str
    overview: Overview
    warnings: Sequence[str]
    contributed: Sequence[ReportSection]
    advice: Sequence[GivenAdvice]
    runs: RunTable
    failures: Sequence[FailedRun]
    findings: Sequence[SanityFinding]
    files: Sequence[LinkedFile]
    provenance: Sequence[ProvenanceItem]
    answer: ReportAnswer | None = None
    colours: SeriesColours = field(default_factory=SeriesColours)
    runs_in_sql: str = ""


@dataclass(frozen=True)
class _Section:
    """A titled part of the page: the template that shows it, and what the template shows."""

    title: str
    anchor: str
    template: str
    content: Any


def page_html(content: ReportContent) -> str:
    """Return the page."""
    has_figures = content.answer is not None or any(
        isinstance(block, Figure) for section in content.contributed for block in section.blocks
    )
    page = report_environment().get_template("page.html")
    return page.render(
        experiment=content.experiment,
        overview=content.overview,
        written_at=datetime.now(UTC).replace(tzinfo=None),
        warnings=content.warnings,
        sections=[*_opening(content), *_contributed_sections(content.contributed), *_own_sections(content)],
        figures=PageFigures(content.colours, content.runs_in_sql),
        plotly=_plotly_js() if has_figures else "",
        style_sheet=_asset("report.css"),
        script=_asset("report.js"),
    )


def figure_page(figure: Figure, colours: SeriesColours | None = None) -> str:
    """Return one figure as a page of its own; `colours`: those of the store, where its series are of one."""
    section = ReportSection(figure.title, [figure])
    page = report_environment().get_template("page.html")
    return page.render(
        experiment=figure.title,
        overview=None,
        warnings=(),
        sections=list(_contributed_sections([section])),
        figures=PageFigures(colours or SeriesColours()),
        plotly=_plotly_js(),
        style_sheet=_asset("report.css"),
        script=_asset("report.js"),
    )


def report_environment() -> Environment:
    """Return the templates with the filters that figures and tables need; texts are escaped."""
    templates = Environment(
        loader=PackageLoader("framework.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    templates.policies["json.dumps_kwargs"] = {
        "separators": (",", ":"),
        "allow_nan": False,
        "ensure_ascii": False,
    }
    templates.filters.update(
        as_text=format_value,
        counted=count_noun,
        numeric_columns=_numeric_columns,
    )
    templates.tests["number_text"] = is_number_text
    templates.tests["records"] = _is_records
    templates.globals.update(absent=ABSENT, interval=format_interval, max_block_rows=MAX_BLOCK_ROWS)
    return templates


def _is_records(value: object) -> bool:
    """Return whether a value is a list of mappings with the same names: the rows of a table."""
    if not isinstance(value, list) or not value or not all(isinstance(one, Mapping) for one in value):
        return False
    return all(one.keys() == value[0].keys() for one in value)


def _opening(content: ReportContent) -> Iterator[_Section]:
    """Yield what the reader came for: the answer, and what the advisors say."""
    if content.answer is not None:
        yield _Section("Answer", "answer", "answer.html", content.answer)
    if content.advice:
        yield _Section("Advice", "advice", "advice.html", content.advice)


def _contributed_sections(sections: Sequence[ReportSection]) -> Iterator[_Section]:
    for number, section in enumerate(sections, start=1):
        groups = list(block_groups(section))
        slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "section"
        yield _Section(section.title, f"{slug}-{number}", "section.html", groups)


def block_groups(section: ReportSection) -> Iterator[tuple[str, list[Figure | TableBlock | str]]]:
    """Yield neighbouring blocks of one kind (`figures`, `tables`, `texts`) together, as `section.html` shows them."""
    for kind, blocks in groupby(section.blocks, _block_kind):
        yield kind, list(blocks)


def _block_kind(block: Figure | TableBlock | str) -> str:
    if isinstance(block, Figure):
        return "figures"
    return "tables" if isinstance(block, TableBlock) else "texts"


def _own_sections(content: ReportContent) -> Iterator[_Section]:
    """Yield what every report has below the evidence: results, failures, sanity, files, provenance."""
    yield _Section("Results", "results", "results.html", results_content(content.runs))
    if failed := sum(content.overview.by_status.get(state, 0) for state in ("failed", "stale")):
        names = short_names({name for failure in content.failures for name in failure.parameters})
        shown = {"failures": content.failures, "total": failed, "names": names}
        yield _Section("Failures", "failures", "failures.html", shown)
    if content.findings:
        yield _Section("Sanity", "sanity", "section.html", [("tables", [_findings_table(content.findings)])])
    if content.files:
        yield _Section("Files", "files", "files.html", {"files": content.files, "limit": MAX_FILES})
    tables = {
        "short": short_provenance(content.provenance),
        "everything": full_provenance(content.provenance),
    }
    yield _Section("Provenance", "provenance", "provenance.html", tables)


def _findings_table(findings: Sequence[SanityFinding]) -> TableBlock:
    rows = [(f.verdict, f.name, f.runs, f.detail or None, f.example_run) for f in findings]
    caption = "These checks test whether a run did what it claims, independent of its performance."
    return TableBlock("Sanity findings", ("verdict", "check", "runs", "for example", "in run"), rows, caption)


def _numeric_columns(table: TableBlock) -> list[bool]:
    return [
        any(is_number(row[column]) for row in table.rows)
        and all(is_number(row[column]) or row[column] is None for row in table.rows)
        for column in range(len(table.columns))
    ]


@cache
def _plotly_js() -> Markup:
    """Return plotly.js packed: gzip in base64, which the page unpacks; a third of its size."""
    from plotly.offline import get_plotlyjs

    packed = gzip.compress(get_plotlyjs().encode(), 9, mtime=0)
    return Markup(base64.b64encode(packed).decode())


def _asset(name: str) -> Markup:
    return Markup((Path(__file__).parent / "assets" / name).read_text(encoding="utf-8"))
