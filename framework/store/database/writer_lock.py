"""One writer of the database at a time; the wait ends with a message that names the holder.

Without locks two writers at worst redo each other's work at the next ingest: the database is published by a rename,
so that they can't damage it nor count a run twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from framework.processes.file_lock import locked
from framework.store.durable import store_errors
from framework.store.layout import LOCK_FILE

DEFAULT_TIMEOUT_S = 60.0


@contextlib.contextmanager
def writer_lock(outputs: Path, timeout_s: float = DEFAULT_TIMEOUT_S) -> Iterator[None]:
    """Hold the outputs folder's writer lock. Raises `StoreError` after `timeout_s`, naming who holds it."""
    lock = locked(outputs / LOCK_FILE, timeout_s, f"the store in {outputs}")
    with contextlib.ExitStack() as stack:
        with store_errors("write to the store in", outputs):
            stack.enter_context(lock)
        yield
