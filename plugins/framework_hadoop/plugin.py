"""Hooks of the data-engine domain. Imported on every command: everything heavy is imported inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import typer

    from framework.contracts import (
        DoctorCheck,
        ImportedTable,
        Importer,
        MetricDefinition,
        ReportScope,
        ReportSection,
        TableBlock,
    )
    from framework.input_files.file_head import FileHead
    from framework.quantity import Quantity

hookimpl = pluggy.HookimplMarker("framework")


@hookimpl
def config_schemas() -> Iterable[tuple[str, str, type]]:
    """Typed schemas of the engines, the benchmarks and the prediction study."""
    from framework_hadoop.benchmarks import settings
    from framework_hadoop.knowledge import knowledge_settings

    return (
        ("backend", "hadoop_schema", settings.HadoopSettings),
        ("backend", "spark_schema", settings.SparkSettings),
        ("workload", "benchmark_schema", settings.BenchmarkSettings),
        ("backend", "execution_prediction_schema", knowledge_settings.ExecutionPredictionConfig),
        ("workload", "executions_schema", knowledge_settings.ExecutionFilesConfig),
    )


@hookimpl
def table_schemas() -> Mapping[str, pa.Schema]:
    """Tables of an engine's run."""
    from framework_hadoop import tables

    return tables.schemas()


@hookimpl
def metric_definitions() -> Iterable[MetricDefinition]:
    """What the metrics of executions and of their prediction mean."""
    from framework_hadoop.metric_definitions import ENGINE_METRICS, EXECUTION_METRICS

    return (*ENGINE_METRICS, *EXECUTION_METRICS)


@hookimpl
def sql_views() -> Sequence[str]:
    """Executions with their verdicts, what they cost, what settings do: `execution_sql`."""
    from framework_hadoop.executions.execution_sql import STATEMENTS

    return STATEMENTS


@hookimpl
def importers() -> Iterable[Importer]:
    """Importers of recorded executions."""
    from framework.contracts import Importer
    from framework_hadoop.engines import job_history, spark_import

    return (
        Importer(
            "jhist",
            "a MapReduce job history (.jhist in JSON or binary, Hadoop 1, mapred job -history)",
            job_history.read_runs,
            _is_history,
        ),
        Importer(
            "spark",
            "a Spark event log: a file, or the folder of a rolling log, in any of Spark's codecs",
            spark_import.read_runs,
            _is_event_log,
            folders=_is_rolling_log,
        ),
        Importer("hibench", "the report of HiBench (hibench.report)", _read_hibench, _is_hibench),
        Importer(
            "aloja",
            "Hadoop executions in ALOJA's columns (CSV or .csv.gz); prices=FILE gives the clusters' prices",
            _read_aloja,
            _is_aloja,
            options=("prices",),
        ),
    )


def _is_history(head: FileHead) -> str | None:
    if head.data.startswith((b"Avro-Json", b"Avro-Binary", b'Meta VERSION="')):
        return "MapReduce job history"
    return "printed job history (mapred job -history)" if "hadoopJob" in head.keys else None


def _is_event_log(head: FileHead) -> str | None:
    event = str(head.record.get("Event", ""))
    return "Spark event log" if event.startswith("SparkListener") else None


def _is_rolling_log(folder: Path) -> bool:
    return any(folder.glob("events_*"))


def _is_aloja(head: FileHead) -> str | None:
    names = {name.lower().replace("_", ".") for name in head.columns}
    found = {"benchmark", "exe.time"} <= names or {"bench", "exe.time"} <= names
    return "executions in ALOJA's columns" if found else None


def _is_hibench(head: FileHead) -> str | None:
    words = head.lines[0].split() if head.lines else []
    return "report of HiBench" if words[:1] == ["Type"] and "Input_data_size" in words else None


def _read_hibench(file: Path) -> Iterator[ImportedTable]:
    from framework_hadoop.executions.recorded import read_hibench_report  # NumPy, as below

    return read_hibench_report(file)


def _read_aloja(file: Path, prices: str | None = None) -> Iterator[ImportedTable]:
    from framework_hadoop.executions.recorded import read_aloja  # NumPy: not for a list of importers

    return read_aloja(file, prices)


@hookimpl
def doctor_checks() -> Iterable[DoctorCheck]:
    """Whether MapReduce and Spark can run here."""
    from framework_hadoop.doctor import checks

    return tuple(checks())


@hookimpl
def verbs(app: typer.Typer) -> None:
    """Verbs over recorded executions."""
    from framework_hadoop.knowledge.knowledge_verbs import add_verbs

    add_verbs(app)


@hookimpl
def engine_commands(config: Mapping[str, Any]) -> Iterable[str]:
    """`hadoop jar …` or `spark-submit …` with the knobs of a run or a recorded execution."""
    from framework_hadoop.engines.submit_command import paste_commands

    return list(paste_commands(config))


@hookimpl
def sweep_tables(scope: ReportScope) -> Iterable[TableBlock]:
    """Prediction, best settings and cost-time fronts of a sweep over knobs."""
    if not _ran(scope, "hadoop", "spark"):
        return []
    from framework_hadoop.knowledge import knob_study

    return knob_study.sweep_tables(scope)


@hookimpl
def report_sections(scope: ReportScope) -> Iterable[ReportSection]:
    """What matters, best configurations, cost against time."""
    if scope.experiment in ("import:aloja", "import:hibench"):
        from framework_hadoop.knowledge.stored_report import recorded_report

        return recorded_report.sections(scope)
    if not _ran(scope, "hadoop", "spark", "execution_prediction"):
        return []
    from framework_hadoop.knowledge import knowledge_report

    return knowledge_report.sections(scope)


def _ran(scope: ReportScope, *backends: str) -> bool:
    """Whether the experiment has runs of these backends: one look into the store, nothing heavy is imported."""
    found = scope.store.query(
        "SELECT 1 FROM runs WHERE experiment = ? AND list_contains(?, backend) LIMIT 1",
        [scope.experiment, list(backends)],
    )
    return bool(found.num_rows)


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Callable[..., Quantity]]:
    """Quantities of the ALOJA papers."""
    from framework_hadoop.knowledge.execution_claims import computations

    return computations(scope)
