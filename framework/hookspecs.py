"""Every extension point of the framework.

A plugin is a module or package that implements some of these functions with the `hookimpl` marker and is
named in the entry-point group `framework.plugins`. Discovery imports every plugin on every command: keep
that module light and import heavy packages inside the functions and classes that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pyarrow as pa
    import typer

    from framework.contracts import (
        Deployed,
        DoctorCheck,
        Importer,
        Law,
        Metric,
        MetricDefinition,
        ReportScope,
        ReportSection,
        Result,
        SanityCheck,
        TableBlock,
        WhatIf,
        WorkloadTables,
    )
    from framework.processes.job_queue import JobQueue
    from framework.quantity import Quantity

NAMESPACE = "framework"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def config_search_path() -> str | None:
    """Return a folder or `pkg://package.module` with Hydra configuration groups to add."""


@hookspec
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Return typed configuration schemas as (group, name, dataclass) to register with Hydra."""


@hookspec
def table_schemas() -> Mapping[str, pa.Schema]:
    """Return Arrow schemas of the tables that this plugin's runs hold, without `run_id`."""


@hookspec
def metric_definitions() -> Iterable[MetricDefinition]:
    """Return what this plugin's metrics mean: unit, description, and which direction is better."""


@hookspec
def derived_metrics(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[Metric]:
    """Return metrics derived from a finished run's tables; must ignore runs that are not of its domain."""


@hookspec
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    """Return findings on whether the run did what it claims; must ignore runs not of its domain."""


@hookspec
def sql_views() -> Sequence[str]:
    """Return `CREATE OR REPLACE VIEW|MACRO` statements over the store's tables."""


@hookspec
def importers() -> Iterable[Importer]:
    """Return importers of recorded runs, each for one KIND of `import KIND FILE`."""


@hookspec
def verbs(app: typer.Typer) -> None:
    """Add verbs to the command line (`app.command(...)`); import what they need inside them."""


@hookspec
def doctor_checks() -> Iterable[DoctorCheck]:
    """Return what this machine can run of the plugin and, for what it can't, the line that fixes it."""


@hookspec
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Return tables to print on the terminal when a sweep ends."""


@hookspec
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Return sections for the HTML report of an experiment."""


@hookspec
def run_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Return sections for the dashboard's page of the one run in the scope."""


@hookspec
def what_ifs() -> Iterable[WhatIf]:
    """Return questions that the dashboard asks a model of this plugin, with sliders for its settings."""


@hookspec
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity | float]]:
    """Return what a claim of `experiments/<name>/claims.yaml` can compute from the runs of a scope, by name."""


@hookspec
def job_queues() -> Mapping[str, Callable[[Mapping[str, Any], Path], JobQueue]]:
    """Return batch systems that can carry out sweeps, by name, as functions of (settings, folder of batches)."""


@hookspec
def deployments() -> Mapping[str, Callable[[Deployed], int]]:
    """Return functions that print what is wrong with a deployment, by its file's `kind`: (Deployed) → exit status."""


@hookspec
def laws() -> Iterable[Law]:
    """Return simulations and formulas that predict metrics of configurations, as baselines of `predict`."""


@hookspec
def engine_commands(config: Mapping[str, Any]) -> Iterable[str]:
    """Return the command lines that start the plugin's own engine with the settings of a run, to be pasted."""
