"""Executions of HiBench: its `hibench.report`, a table that spaces separate, one line a run.

    Type  Date  Time  Input_data_size  Duration(s)  Throughput(bytes/s)  Throughput/node

`Type` is engine and benchmark in one word (`HadoopWordcount`). The report names neither cluster nor
settings. Its throughput is size / duration: a line in which it is not is refused.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from framework.errors import InputError
from framework.input_files.opening import opened_text
from framework_hadoop.executions.execution_table import COLUMNS, ExecutionColumn, Executions

HEADINGS = (
    "Type",
    "Date",
    "Time",
    "Input_data_size",
    "Duration(s)",
    "Throughput(bytes/s)",
    "Throughput/node",
)
_ENGINES = {
    "Hadoop": "hadoop",
    "ScalaSpark": "spark",
    "JavaSpark": "spark (java)",
    "PythonSpark": "spark (python)",
    "Spark": "spark",
    "Flink": "flink",
    "Storm": "storm",
    "Gearpump": "gearpump",
}
_TOLERANCE = 0.02  # Duration has three decimals, throughput is cut to whole bytes
_OWN = {
    "backend.engine": ExecutionColumn("backend.engine", ("Type",), "name", "backend"),
    "workload.data_size_bytes": ExecutionColumn(
        "workload.data_size_bytes", ("Input_data_size",), "number", "workload"
    ),
    "cluster.nodes": ExecutionColumn("cluster.nodes", ("Throughput/node",), "number", "cluster"),
}


def is_hibench(cells: list[str]) -> bool:
    """Say whether the first words of a file are the head of a report."""
    return tuple(cells[:5]) == HEADINGS[:5]


def read_hibench(file: Path) -> Executions:
    """Read a report. The number of nodes is its two throughputs' ratio, where that is whole.

    Raises:
        InputError: not a report, a line with too few or many words, a value that is not a number, or one that
            contradicts the others; names file and line. A last line that breaks off is refused too.
    """
    rows: list[tuple[str, str, str, float, float, float | None]] = []
    with opened_text(file) as text:
        for number, line in enumerate(text, 1):
            cells = line.split()
            if not cells:
                continue
            if is_hibench(cells):
                continue  # each report begins with it; several may be joined
            if not rows and number == 1:
                raise InputError(
                    f"{file}, line 1: not the head of a HiBench report ({' '.join(HEADINGS[:3])} …)"
                )
            try:
                rows.append(_row(cells))
            except ValueError as error:
                raise InputError(f"{file}, line {number}: {error}") from None
    if not rows:
        raise InputError(f"{file}: contains no run of HiBench")
    return _executions(file, rows)


def _row(cells: list[str]) -> tuple[str, str, str, float, float, float | None]:
    if len(cells) != len(HEADINGS):
        raise ValueError(f"{len(cells)} words instead of {len(HEADINGS)}")
    kind, date, time, *figures = cells
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date) or not re.fullmatch(r"\d\d:\d\d:\d\d", time):
        raise ValueError(f"'{date} {time}' is not a date and time")
    size, duration, rate, per_node = (
        _figure(text, name) for text, name in zip(figures, HEADINGS[3:], strict=True)
    )
    if duration <= 0:
        raise ValueError(f"Duration(s): {figures[1]} is not a time")
    if abs(size / duration - rate) > _TOLERANCE * max(rate, 1.0) + 1:
        raise ValueError(f"Throughput(bytes/s): {figures[2]} is not size / duration ({size / duration:.0f})")
    engine, benchmark = _type(kind)
    nodes = round(rate / per_node) if per_node > 0 else 0
    whole = nodes > 0 and math.isclose(rate / nodes, per_node, rel_tol=_TOLERANCE, abs_tol=1)
    return f"{date} {time}", engine, benchmark, size, duration, float(nodes) if whole else None


def _figure(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: {text!r} is not a number")
    return value


def _type(kind: str) -> tuple[str, str]:
    for prefix, engine in _ENGINES.items():
        if kind.startswith(prefix) and len(kind) > len(prefix):
            return engine, kind.removeprefix(prefix).lower()
    return "unknown", kind.lower()


def _executions(file: Path, rows: list[tuple[str, str, str, float, float, float | None]]) -> Executions:
    begins, engines, benchmarks, sizes, durations, nodes = zip(*rows, strict=True)
    count = len(rows)
    columns: dict[str, np.ndarray] = {
        column.name: np.full(count, np.nan) if column.kind == "number" else np.full(count, None, dtype=object)
        for column in COLUMNS
    }
    columns["exe_time_s"] = np.array(durations)
    columns["benchmark"] = np.array(benchmarks, dtype=object)
    columns["suite"] = np.full(count, "HiBench", dtype=object)
    columns["backend.engine"] = np.array(engines, dtype=object)
    columns["workload.data_size_bytes"] = np.array(sizes)
    columns["cluster.nodes"] = np.array([np.nan if value is None else value for value in nodes])
    facts = {"started": np.array(begins, dtype=object)}
    return Executions(columns, str(file), own=dict(_OWN), facts=facts)
