"""How the database changes under its readers: never in place.

A writer copies the published file to a hidden one, changes the copy, and renames it over the published name. A
reader opens either the old database or the new one, both whole; it takes no lock, needs no retry, and works on a
read-only medium. A writer that is killed leaves a copy that no process reads and the next writer removes. On file
systems with reflinks (XFS, Btrfs) the copy costs nothing; elsewhere about a second per GiB.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import StoreError, one_line
from framework.store import durable
from framework.store.database.migrations import create_or_migrate
from framework.store.database.schema_version import check_not_newer, read_trouble
from framework.store.layout import database_path, has_database

if TYPE_CHECKING:
    import duckdb


class WorkingCopy:
    """A private copy of the database, published by `publish`; use it as a context manager under the writer lock.

    Attributes:
        connection: the open copy, migrated to this framework's schema version.
    """

    connection: duckdb.DuckDBPyConnection

    def __init__(self, outputs: Path, fresh: bool = False) -> None:
        self.published = database_path(outputs)
        self.path = durable.temporary_sibling(self.published)
        self._fresh = fresh

    def __enter__(self) -> WorkingCopy:
        durable.remove_debris(self.published.parent)
        self._remove()
        if has_database(self.published.parent) and not self._fresh:
            with durable.store_errors("write", self.published):
                try:
                    _copy(self.published, self.path)
                except BaseException:
                    self._remove()
                    raise
        self._open()
        return self

    def _open(self) -> None:
        import duckdb

        try:
            self.connection = duckdb.connect(str(self.path))
            check_not_newer(self.connection, self.published)
            create_or_migrate(self.connection)
        except duckdb.Error as error:
            self.close()
            trouble = write_trouble if medium_trouble(error) else read_trouble
            raise StoreError(trouble(self.published, error)) from error
        except BaseException:
            self.close()
            raise

    def publish(self, more_to_come: bool = False) -> None:
        """Make the copy the database that readers open; go on with a new copy when there is `more_to_come`."""
        self.connection.execute("CHECKPOINT")
        self.connection.close()
        with durable.store_errors("write", self.published):
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            # someone's own DuckDB shell may have left a log that belongs to the file being replaced
            self.published.with_name(self.published.name + ".wal").unlink(missing_ok=True)
            os.replace(self.path, self.published)
            durable.flush_folder(self.published.parent)
            if more_to_come:
                _copy(self.published, self.path)
        if more_to_come:
            self._open()

    def close(self) -> None:
        """Drop what was not published."""
        with contextlib.suppress(Exception):  # it is thrown away
            self.connection.close()
        self._remove()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remove(self) -> None:
        for suffix in ("", ".wal"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.path}{suffix}")


def _copy(source: Path, target: Path) -> None:
    """Copy a file, sharing its blocks where the file system can."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        left = os.fstat(reader.fileno()).st_size
        try:
            while left > 0:
                done = os.copy_file_range(reader.fileno(), writer.fileno(), min(left, 1 << 30))
                if done == 0:
                    break
                left -= done
        except OSError:
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)


def write_trouble(path: Path, error: Exception) -> str:
    """Return one line on a database that DuckDB can't change."""
    return f"can't write {path}: {medium_trouble(error) or one_line(error)}"


def medium_trouble(error: Exception) -> str | None:
    """Return what DuckDB was told by the operating system, in plain words; None for an error of its own."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        if os.strerror(number) in str(error):
            return durable.os_reason(OSError(number, ""))
    return None
