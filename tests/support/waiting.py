"""Waiting for what happens, instead of for a time in which it usually happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], limit_s: float = 90.0) -> Found:
    """Return the condition's value once that is true; fail after a limit that only a hanging program reaches."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"nothing happened within {limit_s:g} s"
        time.sleep(0.005)
    return found
