"""One process at a time: the kernel's lock (`flock`) on a file, which vanishes with its process, whatever ends that.

Where a file system has no locks, the caller goes on without: whoever uses `locked` must be safe then too.
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
from math import inf
from pathlib import Path

from framework.errors import StoreError

_BUSY = (errno.EAGAIN, errno.EACCES)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5


@contextlib.contextmanager
def locked(path: Path, timeout_s: float = inf, what: str = "") -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and holds a note on who has the lock.

    Args:
        path: the lock file.
        timeout_s: how long to wait for another holder.
        what: what the lock protects, for the error; the file itself if empty.

    Raises:
        StoreError: somebody else held it all the time; says who.
        OSError: the file can't be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _acquired(handle, timeout_s):
            raise StoreError(f"{what or path} is being written by {_holder(path)}; try again later")
        _name_holder(handle)
        yield
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _acquired(handle: int, timeout_s: float) -> bool:
    deadline, pause_s = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY:
                return True  # the file system has no locks
        else:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


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
