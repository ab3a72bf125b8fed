"""Rows of a query as CSV, JSON or Parquet: data and nothing else, so that other programs can read them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

from framework.contracts import Json
from framework.store.durable import store_errors, temporary_sibling

if TYPE_CHECKING:
    import pyarrow as pa

Row = Sequence[Any]


def as_json(value: Any) -> Json:
    """Return a DuckDB value as strict JSON: times in ISO 8601, numbers that JSON lacks (NaN, infinity) as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value) if isinstance(value, UUID) else value


def write_json(columns: Sequence[str], batches: Iterable[Sequence[Row]], out: TextIO) -> None:
    """Write an array with one object a row, batch by batch; a column name that occurs twice gets a number."""
    names = _distinct(columns)
    lead = "["
    for row in (row for rows in batches for row in rows):
        record = dict(zip(names, map(as_json, row), strict=True))
        out.write(lead + json.dumps(record, ensure_ascii=False))
        lead = ",\n "
    out.write("[]\n" if lead == "[" else "]\n")


def write_csv(columns: Sequence[str], batches: Iterable[Sequence[Row]], out: TextIO) -> None:
    """Write a header and one line a row, batch by batch; lists and structs are JSON.

    Null is an empty field, an empty text is `""`: programs that look at quotes can tell them apart.
    """
    out.write(",".join(map(_csv_text, columns)) + "\n")
    for rows in batches:
        out.writelines(",".join(map(_csv_field, row)) + "\n" for row in rows)


def write_parquet(reader: pa.RecordBatchReader, path: Path) -> int:
    """Write the batches of an Arrow reader as one Parquet file, whole or not at all; return the number of rows.

    Types are DuckDB's: null stays null, NaN stays NaN.
    """
    import pyarrow.parquet as pq

    rows = 0
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a hidden path beside `path` to write; it takes its place when the block ends well, else `StoreError`."""
    temporary = temporary_sibling(path)
    with store_errors("write", path):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _csv_text(text: str) -> str:
    if text == "" or any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return _csv_text(json.dumps(as_json(value), ensure_ascii=False))
    return _csv_text(repr(value) if isinstance(value, float) else str(as_json(value)))


def _distinct(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names
