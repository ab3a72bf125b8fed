"""Definitions and sections that the report's tests share: they don't depend on which plugins are installed."""

from collections.abc import Callable

import pytest

from framework import plugins
from framework.contracts import Figure, MetricDefinition, ReportScope, ReportSection, TableBlock
from framework.report import plugin_blocks
from framework.report.plugin_blocks import PluginProblem

DEFINITIONS = {
    "total_tok_s": MetricDefinition("total_tok_s", "tok/s", "tokens per second", "higher"),
    "itl_mean_ms": MetricDefinition("itl_mean_ms", "ms", "gap between tokens", "lower"),
    "itl_p50_ms": MetricDefinition("itl_p50_ms", "ms", "", "lower"),
    "itl_p99_ms": MetricDefinition("itl_p99_ms", "ms", "", "lower"),
    "running_mean": MetricDefinition("running_mean", "", "", "none"),
    "energy_j": MetricDefinition("energy_j", "J", "energy of the whole run", "lower"),
}

Contribute = Callable[..., None]


@pytest.fixture(autouse=True)
def contribute(monkeypatch: pytest.MonkeyPatch) -> Contribute:
    """Return a function that sets what plugins contribute; nothing until it is called."""

    def say(*sections: ReportSection, problems: tuple[PluginProblem, ...] = ()) -> None:
        def report_sections(scope: ReportScope) -> tuple[list[ReportSection], list[PluginProblem]]:
            return list(sections), list(problems)

        monkeypatch.setattr(plugin_blocks, "report_sections", report_sections)

    monkeypatch.setattr(plugins, "metric_definitions", lambda: DEFINITIONS)
    say()
    return say


@pytest.fixture
def plotted_section() -> ReportSection:
    """A section with a text, a figure and a table."""
    trace = {"type": "scatter", "name": "a", "x": [1.0, 2.0, 4.0], "y": [3.0, float("nan"), 5.0]}
    layout = {"title": {"text": "Throughput"}, "xaxis": {"type": "log", "title": "batch"}}
    return ReportSection(
        "Curves & more",
        [
            "First.\n\nSecond with <b>tags</b>.",
            Figure("Throughput", {"data": [trace], "layout": layout}, "What is to be <seen>."),
            TableBlock("Claims", ("claim", "paper"), [("a <claim>", 33.7), ("none", None)], "Noise 4 %."),
        ],
    )
