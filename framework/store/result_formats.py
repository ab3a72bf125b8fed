"""Rows of a query as CSV or JSON: data and nothing else, so that other programs can read them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TextIO
from uuid import UUID

from framework.contracts import Json

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


def write_json(columns: Sequence[str], rows: Sequence[Row], out: TextIO) -> None:
    """Write an array with one object a row; a column name that occurs twice gets a number."""
    names = _distinct(columns)
    objects = [
        json.dumps(dict(zip(names, map(as_json, row), strict=True)), ensure_ascii=False) for row in rows
    ]
    out.write("[" + ",\n ".join(objects) + "]\n")


def write_csv(columns: Sequence[str], rows: Sequence[Row], out: TextIO) -> None:
    """Write a header and one line a row; null is an empty field, lists and structs are JSON."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_field(value) for value in row] for row in rows)


def _csv_field(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(as_json(value), ensure_ascii=False)
    return value if isinstance(value, float) else as_json(value)


def _distinct(columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in names:
            count += 1
            name = f"{column}_{count}"
        names.append(name)
    return names
