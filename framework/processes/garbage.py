"""Python's garbage collection in a process that lives about a second."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 100_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect after 100,000 new objects instead of 700, and not at the end, when all memory is given back anyhow.

    Imports and composition make many objects and hardly any garbage: looking for it was a tenth of a short command.
    """
    gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.freeze()
