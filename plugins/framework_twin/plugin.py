"""Hooks of the digital twin. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from framework.contracts import DoctorCheck, Law, MetricDefinition, ReportScope, TableBlock, WhatIf

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schema of `backend=twin`."""
    from framework_twin.settings import TwinSettings

    return (("backend", "twin_schema", TwinSettings),)


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What only a model can report: where the time goes."""
    from framework_twin.metric_definitions import TWIN_METRICS

    return TWIN_METRICS


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Whether the kernel is compiled, and whether profiles can be fitted here."""
    from framework_twin.doctor import checks

    return checks()


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """How well a profile that was just fitted predicts the runs of the sweep."""
    from framework_twin.calibration.calibration_report import calibration_tables

    return list(calibration_tables(scope))


@hookimpl
def what_ifs() -> Iterable[WhatIf]:
    """What a server of a model on a GPU gives under a load."""
    from framework_twin.what_if import questions

    return questions()


@hookimpl
def laws() -> Iterable[Law]:
    """What the twin simulates is the baseline of `predict`."""
    from framework_twin.measured.twin_law import twin_law

    return [twin_law()]


@hookimpl
def verbs(app: typer.Typer) -> None:
    """`validate`, `calibrate` and `support`."""
    from framework_twin.verbs import add_verbs

    add_verbs(app)
