"""What a backend leaves running between two runs of a sweep: a server that takes a minute to start.

A sweep opens a keeper for the runs of its process (`kept_between_runs`), and a backend finds it in its `RunContext`:

    server = context.between_runs.take(key)        # that of the run before, if the key is the same
    …
    context.between_runs.leave(key, server, server.end)

One thing is kept at a time. It is ended when a run asks for another key, when a run of another backend begins, and
after the last run, whatever happens. A run that fails leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Kept:
    owner: str
    key: str
    thing: Any
    end: Callable[[], None]


class BetweenRuns:
    """Keeps at most one thing from one run to the next."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None
        self._owner = ""

    def begin(self, owner: str) -> None:
        """A run of this backend begins: what another backend left is ended."""
        self._owner = owner
        if self._kept is not None and self._kept.owner != owner:
            self.end()

    def take(self, key: str) -> Any | None:
        """Return what was left under this key, which is the caller's from now on; end what was left under another."""
        kept = self._kept
        if kept is not None and kept.key == key:
            self._kept = None
            return kept.thing
        self.end()
        return None

    def leave(self, key: str, thing: Any, end: Callable[[], None]) -> None:
        """Leave a thing to the next run; `end` ends it if that one does not want it."""
        self.end()
        self._kept = _Kept(self._owner, key, thing, end)

    def end(self) -> None:
        """End what is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.end()


_current: ContextVar[BetweenRuns | None] = ContextVar("between_runs", default=None)


def current() -> BetweenRuns | None:
    """Return the keeper of the sweep that this process carries out; None outside of one."""
    return _current.get()


@contextmanager
def kept_between_runs() -> Iterator[BetweenRuns]:
    """Keep things between the runs that the block carries out in this process; end the last one with the block."""
    keeper = BetweenRuns()
    token = _current.set(keeper)
    try:
        yield keeper
    finally:
        _current.reset(token)
        keeper.end()
