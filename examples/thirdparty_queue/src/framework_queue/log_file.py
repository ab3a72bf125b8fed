"""An importer: visits that were logged at a real counter become runs like any other."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from framework.contracts import ImportedRun, Result
from framework.errors import InputError, did_you_mean

_COLUMNS = ("run", "servers", "arrival_s", "start_s", "end_s")


def read_log(file: Path) -> Iterator[ImportedRun]:
    """Yield one run for each value of the column `run`.

    Raises:
        InputError: a column is missing or a value is no number; names file and row (from 0, header not counted).
    """
    runs: dict[str, list[dict[str, float]]] = {}
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        present = reader.fieldnames or []
        for column in _COLUMNS:
            if column not in present:
                raise InputError(f"file '{file}': no column '{column}'{did_you_mean(column, present)}")
        for row, cells in enumerate(reader):
            runs.setdefault(cells["run"], []).append(_numbers(file, row, cells))
    for name, visits in runs.items():
        yield _imported(name, visits)


def _numbers(file: Path, row: int, cells: dict[str, str]) -> dict[str, float]:
    try:
        return {column: float(cells[column]) for column in _COLUMNS[1:]}
    except (TypeError, ValueError):
        raise InputError(f"file '{file}', row {row}: a value is missing or not a number") from None


def _imported(name: str, visits: list[dict[str, float]]) -> ImportedRun:
    import pyarrow as pa

    from framework_queue.backend import visit_metrics

    servers = int(visits[0]["servers"])
    first_s = min(visit["arrival_s"] for visit in visits)
    table = pa.table(
        {
            "customer_id": list(range(len(visits))),
            **{column: [visit[column] - first_s for visit in visits] for column in _COLUMNS[2:]},
        }
    )
    return ImportedRun(
        origin_id=name,  # with the importer's kind this makes a second import of the same run a no-op
        experiment="import:queue-log",
        backend="recorded",
        config={"backend": {"name": "recorded", "servers": servers, "discipline": "unknown"}},
        result=Result(visit_metrics(table, servers), {"visits": table}),
    )
