"""Hooks of the toy study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from framework.contracts import (
    DoctorCheck,
    ImportedRun,
    ImportedTable,
    Importer,
    Metric,
    MetricDefinition,
    ReportScope,
    Result,
    SanityCheck,
    WorkloadTables,
)
from framework.errors import InputError, NotEvaluatedError
from framework.hookspecs import hookimpl
from framework.input_files.file_head import FileHead


class Pace(Enum):
    """How to add."""

    steady = "steady"
    hasty = "hasty"


@dataclass
class ToyBackendConf:
    """`backend: toy`."""

    _target_: str = "toy_study.components.ToyBackend"
    name: str = "toy"
    speed: float = 1.0
    pace: Pace = Pace.steady
    fail: str | None = None
    steps: int = 0
    step_s: float = 0.2
    log_mib: float = 0.0
    profile: str | None = None


@hookimpl
def config_search_path() -> str:
    return str(Path(__file__).with_name("conf"))


@hookimpl
def config_schemas() -> list[tuple[str, str, type]]:
    return [("backend", "toy_schema", ToyBackendConf)]


@hookimpl
def table_schemas() -> Mapping[str, Any]:
    import pyarrow as pa

    return {"sums": pa.schema([pa.field("value", pa.int64(), nullable=False)])}


@hookimpl
def metric_definitions() -> list[MetricDefinition]:
    return [MetricDefinition("numbers_s", "1/s", "Numbers added a second.", "higher")]


@hookimpl
def derived_metrics(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[Metric]:
    if config["backend"].get("fail") == "derive":
        raise KeyError("a defect of a derived metric")
    if "value" in getattr(result.tables.get("sums"), "column_names", ()):
        yield Metric("sum", float(result.tables["sums"]["value"][0].as_py()))


@hookimpl
def sanity_checks(
    config: Mapping[str, Any], workload: WorkloadTables | None, result: Result
) -> Iterable[SanityCheck]:
    if config["backend"].get("fail") == "sanity":
        raise IndexError("a defect of a check")
    if config["backend"].get("fail") == "warn":
        yield SanityCheck("slow", "warn", "slower than last time")


@hookimpl
def importers() -> list[Importer]:
    return [
        Importer("toy", "one speed a line", _read, _is_marked),
        Importer("toy-table", "all speeds at once", _read_table),
    ]


def _is_marked(head: FileHead) -> str | None:
    return "speeds of the toy" if head.text.startswith("toy\n") else None


def _read(file: Path) -> Iterable[ImportedRun]:
    for row, line in enumerate(file.read_text().removeprefix("toy\n").splitlines()):
        try:
            speed = float(line)
        except ValueError:
            raise InputError(f"file '{file}', row {row}: '{line}' is not a number") from None
        result = Result([Metric("numbers_s", speed, "1/s")])
        yield ImportedRun(f"row-{row}", "import:toy", "recorded", {"backend": {"speed": speed}}, result)


def _read_table(file: Path) -> Iterable[ImportedTable]:
    import pyarrow as pa

    speeds = [float(line) for line in file.read_text().splitlines()]
    yield ImportedTable(
        origin_ids=[f"row-{row}" for row in range(len(speeds))],
        experiment="import:toy-table",
        backend="recorded",
        params={"backend.speed": pa.array(speeds)},
        metrics={"numbers_s": pa.array(speeds)},
        units={"numbers_s": "1/s"},
        notes=["read at once"],
    )


@hookimpl
def claim_computations(scope: ReportScope) -> Mapping[str, Any]:
    return {"largest": partial(_largest, scope)}


def _largest(scope: ReportScope, metric: str) -> float:
    query = "SELECT max(value) AS best FROM metrics WHERE name = ? AND list_contains(?, run_id)"
    (row,) = scope.store.query(query, [metric, list(scope.run_ids)]).to_pylist()
    if row["best"] is None:
        raise NotEvaluatedError(f"no run with {metric}")
    return row["best"]


@hookimpl
def doctor_checks() -> list[DoctorCheck]:
    return [DoctorCheck("toy", None, "no toy here", "buy one")]


@hookimpl
def verbs(app: Any) -> None:
    @app.command()
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Example: python -m framework add 2 3
        """
        print(a + b)
        return 0
