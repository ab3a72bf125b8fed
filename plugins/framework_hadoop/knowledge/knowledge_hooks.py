"""What the plugin's hooks delegate to for recorded executions, prediction and cost. Light: no NumPy here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from framework.contracts import Importer, MetricDefinition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import typer

    from framework.contracts import ImportedTable, ReportScope, ReportSection


def schemas() -> Iterable[tuple[str, str, type]]:
    """Return the typed schemas of the prediction study."""
    from framework_hadoop.knowledge.knowledge_settings import ExecutionFilesConfig, ExecutionPredictionConfig

    return (
        ("backend", "execution_prediction_schema", ExecutionPredictionConfig),
        ("workload", "executions_schema", ExecutionFilesConfig),
    )


METRICS = (
    MetricDefinition("exe_time_s", "s", "Wall time of an execution.", "lower"),
    MetricDefinition(
        "cost_usd",
        "USD",
        "Hours times the hourly price of the cluster with its remote volumes, solid-state disks and InfiniBand.",
        "lower",
    ),
    MetricDefinition("mape", "", "Mean absolute percentage error of predictions, as a fraction.", "lower"),
    MetricDefinition("median_ape", "", "Median absolute percentage error, as a fraction.", "lower"),
    MetricDefinition("mae", "s", "Mean absolute error of predicted times.", "lower"),
    MetricDefinition(
        "smape_halved",
        "",
        "Mean of |p - m| / (|p| + |m|): for small errors half a MAPE, as a fraction.",
        "lower",
    ),
    MetricDefinition("interval_coverage", "", "Share of measured values within their predicted interval."),
    MetricDefinition(
        "regret",
        "",
        "Measured time of the configuration predicted to be fastest over the best measured one, minus 1; median over "
        "benchmarks and clusters of the test rows.",
        "lower",
    ),
    MetricDefinition("mape_held_out_rows", "", "MAPE on a quarter of the training rows, held out.", "lower"),
    MetricDefinition(
        "mape_held_out_configurations", "", "MAPE on a quarter of the configurations, held out.", "lower"
    ),
    MetricDefinition("mape_held_out_clusters", "", "MAPE on clusters held out whole.", "lower"),
    MetricDefinition("mape_held_out_benchmarks", "", "MAPE on benchmarks held out whole.", "lower"),
    MetricDefinition("executions_judged", "", "Executions that a run of the outlier rule judged."),
    MetricDefinition("execution_outliers", "", "Of them, those that deviate while their neighbours do not."),
    MetricDefinition("execution_warnings", "", "Of them, those that deviate as their neighbours do."),
    MetricDefinition("execution_failures", "", "Of them, those too short to have done their work."),
)


def importers() -> Iterable[Importer]:
    """Return the importer of ALOJA's executions."""
    return (Importer("aloja", "Hadoop executions in ALOJA's columns (CSV or .csv.gz)", _read_aloja),)


def _read_aloja(file: Path) -> Iterator[ImportedTable]:
    from framework_hadoop.executions.recorded import read_aloja

    return read_aloja(file)


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs over executions, and the guided study."""
    from framework_hadoop.knowledge import knowledge_verbs

    knowledge_verbs.add_verbs(app)


def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """Return the sections of an experiment over executions; one look into the store for any other."""
    held = scope.store.query(
        "SELECT count(*) FROM runs WHERE experiment = ? AND backend IN ('hadoop', 'spark', 'execution_prediction')",
        [scope.experiment],
    )
    if held.column(0)[0].as_py() == 0:
        return ()
    from framework_hadoop.knowledge import knowledge_report

    return knowledge_report.sections(scope)
