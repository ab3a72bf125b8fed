"""Read access to the store: SELECT and nothing else, always a whole database, even while another process writes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import StoreError
from framework.store.database.query_limits import QueryLimits, held_to
from framework.store.database.schema_version import check_not_newer, read_trouble
from framework.store.durable import os_reason
from framework.store.layout import database_path, has_database, runs_folder

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    AttachOthers = Callable[[duckdb.DuckDBPyConnection], None]

FOREIGN_WRITER_WAIT_S = 5.0
_SPILLED = 8.0
"""What a query with a limit of memory may write to the disk while it runs, in multiples of the limit."""
_READING = frozenset({"SELECT", "EXPLAIN"})


def open_published(
    path: Path, memory_gib: float | None = None, attach_others: AttachOthers | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the published database for reading, with everything switched off that reaches beyond it.

    Each call opens the file again (attached to a database in memory), so that a connection opened before the last
    publication never answers for it. Raises `StoreError` for a file that is damaged, foreign or newer.
    """
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("SET python_enable_replacements = false")
        if attach_others is not None:
            attach_others(connection)
        attach_file(connection, path, "store")
        connection.execute("USE store")
        if memory_gib is not None:
            connection.execute(f"SET memory_limit = '{memory_gib:.3f}GiB'")
            connection.execute(f"SET max_temp_directory_size = '{_SPILLED * memory_gib:.3f}GiB'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        check_not_newer(connection, path)
    except duckdb.Error as error:
        connection.close()
        raise StoreError(read_trouble(path, error)) from error
    except StoreError:
        connection.close()
        raise
    return connection


def attach_file(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a database under a (quoted) name for reading.

    A program other than ours that has it open for writing is waited for a little.
    """
    import duckdb

    statement = "ATTACH '{}' AS {} (READ_ONLY)".format(str(path).replace("'", "''"), name)
    deadline = time.monotonic() + FOREIGN_WRITER_WAIT_S
    while True:
        try:
            connection.execute(statement)
            return
        except duckdb.IOException as error:
            if "lock" not in str(error).lower():
                raise
            if time.monotonic() > deadline:
                raise StoreError(f"{path} is open for writing in another program; close it there") from error
        time.sleep(0.1)


class Store:
    """The store of an outputs folder, for reading; satisfies `framework.contracts.StoreReader`.

    Every query sees the database as last published. Safe to share between threads.
    """

    def __init__(
        self,
        outputs: Path | str,
        limits: QueryLimits | None = None,
        attach_others: AttachOthers | None = None,
    ) -> None:
        """Prepare to read; `limits` hold for each query (without: none), `attach_others` adds other databases."""
        self.limits = limits
        self.attach_others = attach_others
        self.outputs = Path(outputs)
        self.path = database_path(outputs)
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opened: tuple[int, int, int] | None = None

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Return the result of one SELECT (`?` placeholders) as an Arrow table.

        Raises `StoreError` with one line: no store yet, not a SELECT, or DuckDB's own message with its hint.
        """
        with self._reading(sql) as cursor:
            return cursor.sql(sql, params=list(parameters)).to_arrow_table()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return column names and rows as Python values, without importing Arrow. Raises as `query`."""
        with self._reading(sql) as cursor:
            cursor.execute(sql, list(parameters))
            return [column[0] for column in cursor.description or ()], cursor.fetchall()

    @contextlib.contextmanager
    def stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 2000
    ) -> Iterator[tuple[list[str], Iterator[list[tuple[Any, ...]]]]]:
        """Yield column names and an iterator over batches of rows, which are made as they are asked for.

        Raises as `query`, from the iterator too; a limit that is reached is a `StoreError` as well.
        """
        with self._reading(sql) as cursor:
            cursor.execute(sql, list(parameters))
            columns = [column[0] for column in cursor.description or ()]
            yield columns, iter(lambda: cursor.fetchmany(batch_rows), [])

    @contextlib.contextmanager
    def arrow_stream(
        self, sql: str, parameters: Sequence[Any] = (), batch_rows: int = 50_000
    ) -> Iterator[pa.RecordBatchReader]:
        """Yield an Arrow reader of the result, batch by batch. Raises as `stream`."""
        with self._reading(sql) as cursor:
            yield cursor.sql(sql, params=list(parameters)).to_arrow_reader(batch_rows)

    @contextlib.contextmanager
    def _reading(self, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        limits = self.limits or QueryLimits(timeout_s=0)
        cursor = self._fresh().cursor()
        try:
            with held_to(limits, cursor) as ran_out:
                cursor.execute("USE store")
                _check_reads_only(cursor, sql)
                yield cursor
        except (duckdb.Error, RuntimeError, OSError, MemoryError) as error:
            if ran_out.is_set():
                raise StoreError(limits.out_of_time) from None
            if "interrupt" in str(error).lower() and not isinstance(error, OSError):
                raise KeyboardInterrupt from error  # Ctrl-C, as DuckDB tells it
            if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
                raise StoreError(limits.out_of_memory) from None
            if isinstance(error, duckdb.Error):
                raise StoreError(sql_trouble(error)) from error
            raise
        finally:
            cursor.close()

    def close(self) -> None:
        """Close the database; the next query opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _fresh(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the database as published now."""
        with self._lock:
            try:
                stat = self.path.stat()
            except (FileNotFoundError, NotADirectoryError):
                waiting = runs_not_ingested(self.outputs)
                hint = (
                    f"; {waiting} finished runs wait for `framework ingest {self.outputs}`" if waiting else ""
                )
                raise StoreError(f"no runs yet: {self.path} does not exist{hint}") from None
            except OSError as error:
                raise StoreError(f"can't read {self.path}: {error.strerror}") from error
            if stat.st_size == 0:
                raise StoreError(f"no runs yet: {self.path} is empty")
            now = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._connection is None or now != self._opened:
                self._connection = open_published(
                    self.path, self.limits.memory if self.limits else None, self.attach_others
                )
                self._opened = now
            return self._connection


def runs_not_ingested(outputs: Path) -> int:
    """Return how many bundles lie in the outputs folder that its database does not hold or quarantine."""
    try:
        names = {name for name in os.listdir(runs_folder(outputs)) if not name.startswith(".")}
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"can't read {runs_folder(outputs)}: {os_reason(error)}") from error
    store = Store(outputs)
    if names and has_database(outputs):
        _, rows = store.rows("SELECT run_id FROM bundles UNION ALL SELECT name FROM quarantine")
        names -= {name for (name,) in rows}
    return len(names)


def _check_reads_only(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    kinds = [_kind(statement) for statement in connection.extract_statements(sql)]
    if not kinds:
        raise StoreError("the query is empty")
    if _is_pivot(sql, kinds):
        return
    if len(kinds) > 1:
        raise StoreError(f"one SELECT at a time, not {len(kinds)} statements")
    if kinds[0] not in _READING:
        refused = {"LOAD": "INSTALL or LOAD"}.get(kinds[0], kinds[0])  # one kind to DuckDB
        raise StoreError(f"the store is read-only: SELECT, not {refused}")


def _kind(statement: Any) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a kind that DuckDB's Python package has no name for
        return "another statement"


def _is_pivot(sql: str, kinds: list[str]) -> bool:
    """Whether DuckDB made several statements of one PIVOT: without a list of columns it looks them up first."""
    single = ";" not in sql.rstrip("; \n\t") and "pivot" in sql.lower()
    return single and (kinds == ["MULTI"] or (kinds[-1] == "SELECT" and set(kinds[:-1]) == {"CREATE"}))


def sql_trouble(error: Exception) -> str:
    """Return DuckDB's message as one line: its reason and hint, without the excerpt of the query."""
    lines = []
    for line in str(error).splitlines():
        if line.startswith("LINE "):
            break
        if line.strip():
            lines.append(line.strip())
    return "SQL: " + " ".join(lines).removeprefix("Invalid Input Error: ")
