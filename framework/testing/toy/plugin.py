"""Hooks of the toy study; the fixture `toy_study` registers them, nothing else does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from framework.contracts import MetricDefinition
from framework.hookspecs import hookimpl


@hookimpl
def config_search_path() -> str:
    """Add the toy's options."""
    return str(Path(__file__).with_name("conf"))


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """Say what the toy's metrics mean."""
    return [MetricDefinition("numbers_s", "1/s", "Numbers added a second.", "higher")]
