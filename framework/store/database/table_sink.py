"""Where bundles meet the database's tables: schemas are compared, widened where that loses nothing, and filled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from framework.errors import StoreError
from framework.store.database.migrations import create_table
from framework.store.database.schema import (
    BUNDLE_TABLES,
    CORE_TABLES,
    GAINED_COLUMNS,
    check_column_names,
    check_table_name,
    conform,
    plain_columns,
)
from framework.store.views.results_view import quoted

if TYPE_CHECKING:
    import duckdb


class TableSink:
    """Adds Arrow tables to an open database.

    A column that a run is first to hold is added to the table, a number that does not fit widens its column.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stored = dict(CORE_TABLES)  # tables as they are in the database
        self._wanted: dict[str, pa.Schema] = {}  # tables as they must be for what was accepted

    def accept(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Return a run's tables as the database will hold them, without adding them yet.

        Raises `StoreError` for a table that can't be added: a name of the store's own, a column of another type.
        """
        accepted, wanted = {}, {}
        for name, table in tables.items():
            if name not in BUNDLE_TABLES:
                check_table_name(name)
            elif table.schema.names != BUNDLE_TABLES[name].names:
                expected = BUNDLE_TABLES[name]
                if set(expected.names) - set(table.schema.names) - GAINED_COLUMNS:
                    raise StoreError(f"table '{name}' has other columns than {', '.join(expected.names)}")
                table = conform(name, table, expected)
            accepted[name] = self._renamed(name, _without_untyped(plain_columns(table)))
            wanted[name] = self._merged(name, accepted[name].schema)
        self._wanted.update(wanted)
        return accepted

    def _renamed(self, name: str, table: pa.Table) -> pa.Table:
        """Return the table with the store's spelling of its columns: DuckDB ignores the case of names."""
        check_column_names(name, table.column_names)
        known = self._schema(name)
        if known is None or all(column in known.names for column in table.column_names):
            return table
        spelling = {column.casefold(): column for column in known.names}
        return table.rename_columns(
            [spelling.get(column.casefold(), column) for column in table.column_names]
        )

    def _merged(self, name: str, schema: pa.Schema) -> pa.Schema:
        known = self._schema(name)
        if known is None or known.equals(schema):
            return schema
        try:
            return pa.unify_schemas([known, schema], promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid):
            column = next(
                field
                for field in schema
                if field.name in known.names and known.field(field.name).type != field.type
            )
            reason = f"column '{column.name}' holds {column.type}, the store {known.field(column.name).type}"
            raise StoreError(f"table '{name}': {reason}") from None

    def _schema(self, name: str) -> pa.Schema | None:
        return self._wanted.get(name) or self._read_schema(name)

    def _read_schema(self, name: str) -> pa.Schema | None:
        if name not in self._stored:
            exists = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
            if self._connection.execute(exists, [name]).fetchall() == []:
                return None
            empty = self._connection.sql(f"FROM {quoted(name)} LIMIT 0").to_arrow_table()
            self._stored[name] = empty.schema
        return self._stored[name]

    def add(self, batch: Iterable[Mapping[str, pa.Table]]) -> None:
        """Append accepted tables; the caller holds the transaction."""
        by_name: dict[str, list[pa.Table]] = defaultdict(list)
        for tables in batch:
            for name, table in tables.items():
                by_name[name].append(table)
        for name, parts in by_name.items():
            rows = pa.concat_tables(parts, promote_options="permissive")
            self._fit(name, rows.schema)
            self._connection.register("batch", rows)
            self._connection.execute(f"INSERT INTO {quoted(name)} BY NAME FROM batch")
            self._connection.unregister("batch")

    def forget(self) -> None:
        """Forget what was accepted but not added, after the caller rolled back."""
        self._wanted.clear()
        self._stored = dict(CORE_TABLES)

    def _fit(self, name: str, incoming: pa.Schema) -> None:
        """Create the table, add columns or widen them, so that the incoming rows fit."""
        stored, wanted = self._read_schema(name), self._wanted.get(name, incoming)
        if stored is None:
            create_table(self._connection, name, wanted)
        elif not stored.equals(wanted):
            for column, kind in self._sql_types(wanted).items():
                if column not in stored.names:
                    self._connection.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(column)} {kind}")
                elif stored.field(column).type != wanted.field(column).type:
                    self._connection.execute(f"ALTER TABLE {quoted(name)} ALTER {quoted(column)} TYPE {kind}")
        self._stored[name] = wanted

    def _sql_types(self, schema: pa.Schema) -> dict[str, str]:
        self._connection.register("incoming", schema.empty_table())
        described = self._connection.execute("DESCRIBE FROM incoming").fetchall()
        self._connection.unregister("incoming")
        return {column: kind for column, kind, *_ in described}


def _without_untyped(table: pa.Table) -> pa.Table:
    """Return the table without columns that hold nothing but nulls of no type: they would fix a type by chance."""
    return table.drop_columns([field.name for field in table.schema if pa.types.is_null(field.type)])
