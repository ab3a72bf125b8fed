"""Recorded executions into the store: `import aloja FILE`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from framework.contracts import ImportedTable
from framework.errors import InputError
from framework_hadoop.executions.cost import ClusterPrice, execution_costs_usd, read_price_list
from framework_hadoop.executions.execution_files import BY_NAME, COLUMNS, Executions, read_executions

if TYPE_CHECKING:
    import pyarrow as pa

EXPERIMENT = "import:aloja"
BACKEND = "recorded"
PRICE_FILE = "aloja_clusters.csv"
"""Cluster prices are read from this file when it is next to the executions."""


def read_aloja(file: Path) -> Iterator[ImportedTable]:
    """Yield the executions of a CSV file in ALOJA's columns, exact duplicates (but for the ID) once.

    Raises:
        InputError: not such a file, an odd cell, an execution without time, or one ID for two executions.
    """
    executions = read_executions(file, strict=True)
    if "exe_time_s" in executions.absent:
        raise InputError(f"{file}: no column 'Exe.Time', the execution times")
    without = np.flatnonzero(~executions.finished)
    if len(without):
        raise InputError(f"{file}: row {without[0] + 1}: column 'Exe.Time' contains no time")
    first, copies = _distinct(executions)
    kept = executions.rows(first)
    origin_ids = _origin_ids(kept, file)
    prices = _prices_beside(file)
    notes = []
    duplicates = len(executions) - len(first)
    if duplicates:
        notes.append(
            f"{duplicates} exact duplicates stored as one run each (their number is the fact 'copies')"
        )
    yield ImportedTable(
        origin_ids,
        EXPERIMENT,
        BACKEND,
        params=param_columns(kept),
        metrics=_metrics(kept, prices),
        units={"exe_time_s": "s", "cost_usd": "USD"},
        facts={"copies": _whole(copies)},
        notes=notes,
    )


def _distinct(executions: Executions) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row of each set of equal rows (the ID aside), and the size of each set."""
    columns = [values.tolist() for name, values in executions.columns.items() if name != "execution_id"]
    columns = [[None if value != value else value for value in column] for column in columns]
    first: dict[tuple[object, ...], int] = {}
    rows = list(zip(*columns, strict=True))
    copies = Counter(rows)
    for number, row in enumerate(rows):
        first.setdefault(row, number)
    return np.array(list(first.values())), np.array([copies[row] for row in first], dtype=np.float64)


def _origin_ids(executions: Executions, file: Path) -> list[str]:
    ids: list[str] = executions.columns["execution_id"].tolist()
    seen: set[str] = set()
    for row, identity in enumerate(ids):
        if identity is None:
            raise InputError(f"{file}: an execution has no 'ID' (execution {row + 1})")
        if identity in seen:
            raise InputError(f"{file}: ID {identity} is used for two different executions")
        seen.add(identity)
    return ids


def param_columns(executions: Executions) -> dict[str, pa.Array]:
    """Return the configuration by dotted parameter name, one value an execution; null is a missing value."""
    import pyarrow as pa

    params = {}
    for column in COLUMNS:
        if column.group:
            values = executions.columns[column.name]
            number = BY_NAME[column.name].kind == "number"
            params[f"{column.group}.{column.name}"] = (
                _whole(values) if number else pa.array(values, pa.string())
            )
    return params


def _metrics(executions: Executions, prices: Mapping[str, ClusterPrice] | None) -> dict[str, pa.Array]:
    import pyarrow as pa

    metrics = {"exe_time_s": pa.array(executions.time_s)}
    if prices is not None:
        metrics["cost_usd"] = pa.array(execution_costs_usd(executions, prices), from_pandas=True)
    return metrics


def _whole(values: np.ndarray) -> pa.Array:
    """Return numbers as an array, as whole numbers when all of them are; NaN becomes null."""
    import pyarrow as pa

    found = pa.array(values, from_pandas=True)
    known = values[np.isfinite(values)]
    return found.cast(pa.int64()) if np.all(known == np.round(known)) else found


def _prices_beside(file: Path) -> Mapping[str, ClusterPrice] | None:
    beside = file.parent / PRICE_FILE
    return read_price_list(beside) if beside.is_file() else None
