"""The version of the database's layout, and the steps from older ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import StoreError
from framework.store.schema import CORE_TABLES, RUN_ID, declared_tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DATABASE_VERSION = 1
MIGRATIONS: dict[int, tuple[str, ...]] = {}  # version → statements that lead to it from the one before


def stored_version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the layout version of an open database; None when it is empty."""
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        return None
    if "schema_version" not in tables:
        return 0
    ((version,),) = connection.execute("SELECT max(version) FROM schema_version").fetchall()
    return int(version or 0)


def check_not_newer(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise `StoreError` for a database of a later framework, or of something else altogether."""
    version = stored_version(connection)
    if version == 0:
        raise StoreError(f"{path} is a DuckDB file, but not a store of this framework")
    if version is not None and version > DATABASE_VERSION:
        raise StoreError(
            f"{path} has schema version {version}, this framework knows {DATABASE_VERSION}: update the framework"
        )


def create_table(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """Create a table from its Arrow schema unless it is there."""
    empty = schema.empty_table()
    connection.register("empty_table", empty)
    connection.execute(f'CREATE TABLE IF NOT EXISTS "{name}" AS FROM empty_table')
    connection.unregister("empty_table")


def create_or_migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring an open database to `DATABASE_VERSION`, in one transaction; create what is missing."""
    version = stored_version(connection)
    connection.execute("BEGIN")
    if version is not None:
        for step in range(version + 1, DATABASE_VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
    for name, schema in CORE_TABLES.items():
        create_table(connection, name, schema)
    for name, schema in declared_tables().items():
        create_table(connection, name, schema.insert(0, RUN_ID))
    if version != DATABASE_VERSION:
        applied_at = datetime.now(UTC).replace(tzinfo=None)
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", [DATABASE_VERSION, applied_at])
    connection.execute("COMMIT")
