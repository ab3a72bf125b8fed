"""The steps from older layouts of the database to this framework's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from framework.identity.run_key import config_key
from framework.store.database.schema import CORE_TABLES, RUN_ID, declared_tables
from framework.store.database.schema_version import DATABASE_VERSION, stored_version
from framework.store.views.results_view import quoted

if TYPE_CHECKING:
    import duckdb


def _new_config_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Write the `config_key` of every run anew: bundles and recordings hash a configuration alike since version 2."""
    params: dict[str, dict[str, str | None]] = defaultdict(dict)
    for run_id, name, value in connection.execute("SELECT run_id, name, value FROM params").fetchall():
        params[run_id][name] = value
    rows = pa.table({"run_id": list(params), "key": [config_key(found) for found in params.values()]})
    connection.register("config_keys", rows)
    connection.execute("UPDATE runs SET config_key = k.key FROM config_keys k WHERE runs.run_id = k.run_id")
    connection.unregister("config_keys")


Step = str | Callable[["duckdb.DuckDBPyConnection"], None]
MIGRATIONS: dict[int, tuple[Step, ...]] = {2: (_new_config_keys,)}
"""Version → what leads to it from the one before: SQL statements, or functions of the open database."""


_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.timestamp("us"): "TIMESTAMP",
    pa.list_(pa.string()): "VARCHAR[]",
}


def create_table(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """Create an empty table from its Arrow schema."""
    if all(field.type in _SQL_TYPES for field in schema):
        columns = ", ".join(f"{quoted(field.name)} {_SQL_TYPES[field.type]}" for field in schema)
        connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
        return
    connection.register("empty_table", schema.empty_table())  # DuckDB knows how to map any other type
    connection.execute(f"CREATE TABLE {quoted(name)} AS FROM empty_table")
    connection.unregister("empty_table")


def _add_new_columns(
    connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, present: Container[str]
) -> None:
    """Add the columns that a schema has gained since the table was made; null in the rows that are there.

    So a column more in a schema, the core's or a plugin's, needs no version of its own.
    """
    for field in schema:
        if field.name.casefold() not in present:
            kind = connection.from_arrow(pa.schema([field]).empty_table()).types[0]
            connection.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(field.name)} {kind}")


def create_or_migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring an open database to `DATABASE_VERSION` in one transaction; create missing tables and columns."""
    version = stored_version(connection)
    connection.execute("BEGIN")
    if version is not None:
        for step in range(version + 1, DATABASE_VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement) if isinstance(statement, str) else statement(connection)
    declared = {name: schema.insert(0, RUN_ID) for name, schema in declared_tables().items()}
    columns = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
    present: dict[str, set[str]] = defaultdict(set)
    for name, column in connection.execute(columns).fetchall():
        present[name].add(column.casefold())
    for name, schema in {**declared, **CORE_TABLES}.items():
        if name not in present:
            create_table(connection, name, schema)
        else:
            _add_new_columns(connection, name, schema, present[name])
    if version != DATABASE_VERSION:
        applied_at = datetime.now(UTC).replace(tzinfo=None)
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", [DATABASE_VERSION, applied_at])
    connection.execute("COMMIT")
