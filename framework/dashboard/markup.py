"""Pages as HTML: the report's blocks and figures in the dashboard's frame; every text of the store is escaped."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader

from framework.analysis.number_format import format_data
from framework.dashboard.address import link
from framework.dashboard.assets_served import asset_address, plotly_style_ids
from framework.dashboard.desk import Page
from framework.report.html.page_figures import PageFigures
from framework.report.html.rendering import report_environment
from framework.report.series_colours import SeriesColours

TABS = (
    ("Overview", "/"),
    ("Runs", "/runs"),
    ("Pareto", "/pareto"),
    ("Effects", "/effects"),
    ("Cost", "/cost"),
    ("Predictions", "/predictions"),
    ("Compare", "/compare"),
    ("What if", "/what-if"),
    ("Live", "/live"),
    ("SQL", "/sql"),
)
"""The navigation: what is read, and where it leads."""


def page_html(page: Page, colours: SeriesColours) -> str:
    """Return a page, or a part of one, its series in these colours."""
    template = _environment().get_template(page.template)
    return template.render(
        page=page, content=page.content, figures=PageFigures(colours, page.runs), framed=not page.fragment
    )


def error_html(message: str) -> str:
    """Return the page that says why there is no answer."""
    return page_html(Page("Refused", "shared/refused.html", {"message": message}), SeriesColours())


@cache
def _environment() -> Environment:
    environment = report_environment()
    environment.loader = ChoiceLoader(
        [PackageLoader("framework.dashboard"), PackageLoader("framework.report.html")]
    )
    environment.globals.update(link=link, asset=asset_address, tabs=TABS, style_ids=plotly_style_ids)
    environment.filters["as_data"] = _cell
    return environment


_LONGEST_CELL = 300


def _cell(value: Any) -> str:
    """Return a value of a query as text of bounded length."""
    text = format_data(value[: 2 * _LONGEST_CELL] if isinstance(value, (str, list, tuple)) else value)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
