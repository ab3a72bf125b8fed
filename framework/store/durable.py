"""Writing to disk so that a reader sees the whole thing or nothing, whenever the writer dies.

Everything is written under a hidden temporary name in the same folder, flushed to the medium (`fsync`), renamed,
and the folder's own entry is flushed. A failed write leaves nothing behind and becomes one clear line.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from framework.errors import StoreError

TEMPORARY_PREFIX = ".tmp-"
FOREIGN_DEBRIS_AGE_S = 24 * 3600.0
_DEBRIS = re.compile(r"\.tmp-.*@(?P<host>.+)\.(?P<pid>\d+)(?:\.wal)?$", re.DOTALL)
_serial = itertools.count()
_REASONS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "disk quota exceeded",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOENT: "it does not exist",
}


def os_reason(error: OSError) -> str:
    """Return why the operating system refused, in a few plain words."""
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


@contextlib.contextmanager
def store_errors(action: str, path: Path | str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `StoreError` of one line: `can't <action> <path>: <reason>`."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"can't {action} {path}: {os_reason(error)}") from error


def temporary_sibling(path: Path) -> Path:
    """Return the hidden name under which `path` is prepared; it names the writer so that debris can be recognised."""
    writer = f"{next(_serial)}@{socket.gethostname()}.{os.getpid()}"
    return path.parent / f"{TEMPORARY_PREFIX}{path.name[:120]}.{writer}"


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to the medium; file systems that can't are taken at their word."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_flushed(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a new file and flush it to the medium."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def write_whole(path: Path, data: bytes, durable: bool = True) -> None:
    """Replace a file in one step: a reader sees the old content or the new. Raises `StoreError`."""
    temporary = temporary_sibling(path)
    with store_errors("write", path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_flushed(temporary, data, durable)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            flush_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a hidden folder to fill; it becomes `path` when the block ends well, and vanishes when it does not.

    Raises `StoreError` when `path` already exists (the first writer wins) or the medium refuses.
    """
    temporary = temporary_sibling(path)
    with store_errors("write", path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            for folder, _, _ in os.walk(temporary):
                flush_folder(Path(folder))
            if path.exists():
                raise StoreError(f"{path} already exists and is not replaced")
            os.rename(temporary, path)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise StoreError(f"{path} already exists and is not replaced") from error
            raise
        flush_folder(path.parent)


def process_alive(pid: int) -> bool:
    """Return whether a process of this host lives (a zombie does not)."""
    import psutil

    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # not ours to look at
        return True


def remove_debris(folder: Path, now: float | None = None) -> int:
    """Remove temporary files and folders whose writer died; return how many.

    A writer on this host is dead when its process is; one elsewhere when its debris is older than a day.
    """
    now = time.time() if now is None else now
    removed = 0
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(TEMPORARY_PREFIX)]
    except OSError:
        return 0
    for entry in entries:
        match = _DEBRIS.fullmatch(entry.name)
        try:
            if match and match["host"] == socket.gethostname():
                dead = not process_alive(int(match["pid"]))
            else:
                dead = now - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_DEBRIS_AGE_S
            if not dead:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
            removed += 1
        except OSError:
            continue  # another process was faster, or the medium is read-only
    return removed
