"""Where bundles meet the database's tables: schemas are compared, widened where that loses nothing, and filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from framework.errors import StoreError
from framework.store.migrations import create_table
from framework.store.schema import BUNDLE_TABLES, check_table_name, plain_columns
from framework.store.wide_results import quoted

if TYPE_CHECKING:
    import duckdb


class TableSink:
    """Adds Arrow tables to an open database; a column that a run is first to hold is added to the table."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._schemas: dict[str, pa.Schema] = {}  # of tables that exist

    def accept(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Return a run's tables as the database will hold them, without adding them yet.

        Raises `StoreError` for a table that can't be added: a name of the store's own, a column of another type.
        """
        accepted = {}
        for name, table in tables.items():
            if name in BUNDLE_TABLES:
                if table.schema.names != BUNDLE_TABLES[name].names:
                    raise StoreError(
                        f"table '{name}' has other columns than {', '.join(BUNDLE_TABLES[name].names)}"
                    )
            else:
                check_table_name(name)
            accepted[name] = self._fitted(name, plain_columns(table))
        return accepted

    def _fitted(self, name: str, table: pa.Table) -> pa.Table:
        known = self._schema(name)
        if known is None or table.schema.equals(known):
            return table
        by_fold = {column.casefold(): column for column in known.names}
        for index, field in enumerate(table.schema):
            column = by_fold.get(field.name.casefold())
            if column is None:
                continue
            wanted = known.field(column).type
            if (field.name, field.type) != (column, wanted):
                try:
                    values = table.column(index).cast(wanted)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    reason = f"column '{field.name}' holds {field.type}, the store {wanted}"
                    raise StoreError(f"table '{name}': {reason}") from error
                table = table.set_column(index, pa.field(column, wanted), values)
        return table

    def _schema(self, name: str) -> pa.Schema | None:
        if name not in self._schemas:
            exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
            if self._connection.execute(exists, [name]).fetchall() == []:
                return None
            empty = self._connection.sql(f"FROM {quoted(name)} LIMIT 0").to_arrow_table()
            self._schemas[name] = empty.schema
        return self._schemas[name]

    def add(self, batch: Iterable[Mapping[str, pa.Table]]) -> None:
        """Append accepted tables; the caller holds the transaction."""
        by_name: dict[str, list[pa.Table]] = defaultdict(list)
        for tables in batch:
            for name, table in tables.items():
                by_name[name].append(table)
        for name, parts in by_name.items():
            self._append(name, parts)

    def _append(self, name: str, parts: list[pa.Table]) -> None:
        rows = pa.concat_tables(parts, promote_options="permissive")
        known = self._schema(name)
        if known is None:
            create_table(self._connection, name, rows.schema)
        elif missing := [field for field in rows.schema if field.name not in known.names]:
            self._widen(name, pa.schema(missing))
        self._connection.register("batch", rows)
        self._connection.execute(f"INSERT INTO {quoted(name)} BY NAME FROM batch")
        self._connection.unregister("batch")

    def _widen(self, name: str, extra: pa.Schema) -> None:
        self._connection.register("extra", extra.empty_table())
        described = self._connection.execute("DESCRIBE FROM extra").fetchall()
        self._connection.unregister("extra")
        for column, kind, *_ in described:
            self._connection.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(column)} {kind}")
        self._schemas.pop(name, None)
