"""One writer of the database at a time; the wait ends with a message that names the holder.

The lock is the kernel's (`flock`), so it vanishes with its process, even if it is killed. Where a file system has
no locks the writer goes on without: the database is published by a rename, so that two writers at worst redo each
other's work at the next ingest; they can't damage it nor count a run twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from framework.errors import StoreError
from framework.store.durable import store_errors
from framework.store.layout import LOCK_FILE

DEFAULT_TIMEOUT_S = 60.0
_BUSY = (errno.EAGAIN, errno.EACCES)


@contextlib.contextmanager
def writer_lock(outputs: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> Iterator[None]:
    """Hold the outputs folder's writer lock. Raises `StoreError` after `timeout_s`, naming who holds it."""
    path = outputs / LOCK_FILE
    with store_errors("write to the store in", outputs):
        outputs.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _acquire(handle, path, timeout_s)
        _name_holder(handle)
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, timeout_s: float) -> None:
    deadline, pause_s = time.monotonic() + timeout_s, 0.02
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                return  # the file system has no locks
        else:
            return
        if time.monotonic() >= deadline:
            raise StoreError(
                f"the store in {path.parent} is being written by {_holder(path)}; try again later"
            )
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.5)


def _name_holder(handle: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})
    with contextlib.suppress(OSError):  # a full disk: the lock holds, only its note is missing
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode("utf-8"), 0)


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
