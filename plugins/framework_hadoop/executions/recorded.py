"""Recorded executions into the store: `import aloja FILE`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from framework.contracts import ImportedTable
from framework.errors import InputError
from framework_hadoop.executions.cost import (
    Prices,
    execution_costs_usd,
    price_facts,
    read_price_list,
)
from framework_hadoop.executions.execution_files import read_executions
from framework_hadoop.executions.execution_table import BY_NAME, COLUMNS, Executions

if TYPE_CHECKING:
    import pyarrow as pa

EXPERIMENT = "import:aloja"
BACKEND = "recorded"
PRICE_FILE = "aloja_clusters.csv"
"""Cluster prices are read from this file when it is next to the executions."""


def read_aloja(file: Path, prices: str | None = None) -> Iterator[ImportedTable]:
    """Yield the executions of a CSV file in ALOJA's columns, exact duplicates (but for the ID) once.

    Args:
        file: the executions.
        prices: price list of the clusters; None: `PRICE_FILE` in the same folder, if there is one.

    Raises:
        InputError: not such a file, an odd cell, no execution with a time, or one ID for two executions.
    """
    executions = read_executions(file, strict=True)
    if "exe_time_s" in executions.absent:
        raise InputError(f"{file}: no column 'Exe.Time', the execution times")
    if not executions.finished.any():
        raise InputError(f"{file}: column 'Exe.Time' contains no time")
    listed = _prices_beside(file) if prices is None else read_price_list(prices)
    yield recorded_table(executions, EXPERIMENT, listed)


def read_hibench_report(file: Path) -> Iterator[ImportedTable]:
    """Yield the executions of a HiBench report. Raises `InputError` naming file and line."""
    from framework_hadoop.executions.hibench_report import read_hibench

    yield recorded_table(read_hibench(file), "import:hibench", None)


def recorded_table(executions: Executions, experiment: str, prices: Prices | None) -> ImportedTable:
    """Return executions as runs for the store, exact duplicates (but for the ID) once.

    What makes an execution itself is all that is said of it but its ID: ALOJA gave the same numbers to other
    executions in each of its data sets. One without a time is kept without one.

    Raises:
        InputError: one ID for two executions of the file.
    """
    _check_ids(executions)
    digests = _digests(executions)
    first: dict[str, int] = {}
    copies = Counter(digests)
    for row, digest in enumerate(digests):
        first.setdefault(digest, row)
    kept = executions.rows(np.array(list(first.values())))
    notes = list(executions.notes)
    if len(first) < len(digests):
        notes.append(
            f"{len(digests) - len(first)} exact duplicates stored as one run each "
            "(their number is the fact 'copies')"
        )
    without = int((~kept.finished).sum())
    if without:
        notes.append(f"{without} executions without a time are kept without one")
    return ImportedTable(
        list(first),
        experiment,
        BACKEND,
        params=param_columns(kept),
        metrics=_metrics(kept, prices),
        units={"exe_time_s": "s", "cost_usd": "USD"},
        facts=_facts(kept, list(first), np.array([copies[digest] for digest in first], dtype=np.float64))
        | _price_facts(kept, prices),
        notes=notes,
    )


def _facts(executions: Executions, digests: Sequence[str], copies: np.ndarray) -> dict[str, pa.Array]:
    import pyarrow as pa

    facts = {"copies": _whole(copies)}
    ids = zip(executions.columns["execution_id"].tolist(), digests, strict=True)
    facts["origin_id"] = pa.array([known or digest for known, digest in ids], pa.string())
    for heading, values in executions.facts.items():
        facts[heading] = pa.array([text or None for text in values.tolist()], pa.string())
    return facts


def _price_facts(executions: Executions, prices: Prices | None) -> dict[str, pa.Array]:
    import pyarrow as pa

    if prices is None:
        return {}
    found = price_facts(executions, prices)
    return {
        "price": pa.array(found.price, pa.string()),
        "cost_leaves_out": pa.array(found.leaves_out, pa.string()),
    }


def _digests(executions: Executions) -> list[str]:
    """Return for each row a hash of all that is said of it but its ID; what is missing says nothing."""
    named = {name: values for name, values in executions.columns.items() if name != "execution_id"}
    named |= {f"fact {name}": values for name, values in executions.facts.items()}
    parts: list[list[str]] = [[] for _ in range(len(executions))]
    for name in sorted(named):
        for row, value in enumerate(named[name].tolist()):
            if value is not None and value == value and value != "":
                parts[row].append(f"{name}={value!r}")
    return [hashlib.blake2b("\x1f".join(part).encode(), digest_size=12).hexdigest() for part in parts]


def _check_ids(executions: Executions) -> None:
    """Raise `InputError` for an ID that two different executions of a file have."""
    ids = executions.columns["execution_id"].tolist()
    seen: dict[str, str] = {}
    for identity, digest in zip(ids, _digests(executions), strict=True):
        if identity is not None and seen.setdefault(identity, digest) != digest:
            raise InputError(f"{executions.source}: ID {identity} is used for two different executions")


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
    for name, column in executions.own.items():
        values = executions.columns[name]
        params[name] = _whole(values) if column.kind == "number" else pa.array(values, pa.string())
    return params


def _metrics(executions: Executions, prices: Prices | None) -> dict[str, pa.Array]:
    import pyarrow as pa

    metrics = {"exe_time_s": pa.array(executions.time_s, from_pandas=True)}
    if prices is not None:
        metrics["cost_usd"] = pa.array(execution_costs_usd(executions, prices), from_pandas=True)
    return metrics


_LARGEST_WHOLE = 2.0**53
"""Up to here a double holds every whole number."""


def _whole(values: np.ndarray) -> pa.Array:
    """Return numbers as an array, as whole numbers when all of them are; NaN becomes null."""
    import pyarrow as pa

    found = pa.array(values, from_pandas=True)
    known = values[np.isfinite(values)]
    whole = np.all(known == np.round(known)) and np.all(np.abs(known) < _LARGEST_WHOLE)
    return found.cast(pa.int64()) if whole else found


def _prices_beside(file: Path) -> Prices | None:
    beside = file.parent / PRICE_FILE
    return read_price_list(beside) if beside.is_file() else None
