"""A person's SQL: in a connection of its own that only reads, with limits on time, memory, rows and bytes."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.dashboard.address import Asked, RefusedError, link
from framework.dashboard.desk import Desk, Page
from framework.dashboard.example_queries import EXAMPLES
from framework.errors import UserError, one_line
from framework.store import result_formats

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = ("csv", "json", "parquet")
_MOST_SHOWN_BYTES = 8 * 2**20
_MOST_FILE_BYTES = 64 * 2**20
_MOST_CELLS = 100_000


def page(desk: Desk, asked: Asked) -> Page:
    """Return the form, and the rows of the query that the address holds."""
    query = asked.text("q")
    content: dict[str, Any] = {
        "query": query,
        "examples": [(name, link("/sql", [("q", text)])) for name, text in EXAMPLES],
        "limits": desk.query_limits,
        "error": "",
        "columns": [],
        "rows": [],
        "downloads": [(kind, link(f"/sql/rows.{kind}", [("q", query)])) for kind in _FORMATS],
    }
    if query:
        began_s = time.monotonic()
        try:
            content |= _shown(desk, query)
        except UserError as error:
            content["error"] = one_line(error)
        content["took_s"] = time.monotonic() - began_s
    return Page("SQL", "sql.html", content, "SQL")


def rows_file(desk: Desk, asked: Asked, format: str) -> tuple[str, bytes]:
    """Return the name and the content of a file with all rows of a query."""
    if format not in _FORMATS:
        raise RefusedError(f"rows.{format[:20]}: the formats are {', '.join(_FORMATS)}", 404)
    query = asked.text("q")
    if not query:
        raise RefusedError("parameter 'q': which query?")
    return f"rows.{format}", _written(format, desk.queries.rows(query, 0, _MOST_FILE_BYTES))


def _shown(desk: Desk, query: str) -> dict[str, Any]:
    """Return columns and the first rows."""
    most = desk.query_limits.rows or 1000
    table = desk.queries.rows(query, most + 1, _MOST_SHOWN_BYTES)
    shown = min(most, max(1, _MOST_CELLS // max(1, table.num_columns)))
    rows = [row for batch in table.slice(0, shown).to_batches() for row in _values(batch)]
    return {"columns": table.column_names, "rows": rows, "more": table.num_rows > shown}


def _values(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    try:
        return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    except (ValueError, OverflowError, ArithmeticError) as error:
        raise RefusedError(f"a value can't be shown ({one_line(error)}); cast it to VARCHAR") from None


def _written(format: str, table: pa.Table) -> bytes:
    if format == "parquet":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.parquet"
            result_formats.write_parquet(table.to_reader(), file)
            return file.read_bytes()
    write = result_formats.write_csv if format == "csv" else result_formats.write_json
    out = io.StringIO()
    write(table.column_names, (_values(batch) for batch in table.to_batches(2000)), out)
    return out.getvalue().encode("utf-8", "backslashreplace")
