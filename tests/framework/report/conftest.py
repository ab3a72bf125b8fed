"""Definitions and outcomes that the report's tests share."""

import pytest

from framework.contracts import MetricDefinition
from framework.report import plugin_blocks

DEFINITIONS = {
    "total_tok_s": MetricDefinition("total_tok_s", "tok/s", "tokens per second", "higher"),
    "itl_mean_ms": MetricDefinition("itl_mean_ms", "ms", "gap between tokens", "lower"),
    "itl_p50_ms": MetricDefinition("itl_p50_ms", "ms", "", "lower"),
    "itl_p99_ms": MetricDefinition("itl_p99_ms", "ms", "", "lower"),
    "running_mean": MetricDefinition("running_mean", "", "", "none"),
    "energy_j": MetricDefinition("energy_j", "J", "energy of the whole run", "lower"),
}


@pytest.fixture(autouse=True)
def _known_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests don't depend on which plugins are installed."""
    monkeypatch.setattr(plugin_blocks, "metric_definitions", lambda: DEFINITIONS)
