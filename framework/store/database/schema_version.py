"""The version of the database's layout, and what is said of a database that can not be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import StoreError, one_line

if TYPE_CHECKING:
    import duckdb

DATABASE_VERSION = 2


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


def read_trouble(path: Path, error: Exception) -> str:
    """Return one line on a database that DuckDB can't open."""
    reason = one_line(error)
    return f"{path} is not a readable store ({reason}); `framework ingest --rebuild` builds it again from the bundles"
