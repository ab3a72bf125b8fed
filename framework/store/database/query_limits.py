"""What a query may take: time, memory, rows. The defaults are those that a laptop survives."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from framework.errors import ConfigError

_SHARE_OF_MEMORY, _MOST_GIB = 0.5, 4.0
DEFAULT_TIMEOUT_S = 60.0


def _usable_gib() -> float:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError):
        return _MOST_GIB
    return min(_MOST_GIB, _SHARE_OF_MEMORY * total)


@dataclass(frozen=True)
class QueryLimits:
    """Limits of one query.

    Attributes:
        timeout_s: seconds until it is stopped, printing included; 0: no limit.
        memory_gib: most memory of the database, in GiB; 0: half of the machine's, at most 4.
        rows: most rows that are returned; 0: no limit.
    """

    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_gib: float = 0.0
    rows: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("--timeout", self.timeout_s),
            ("--max-memory", self.memory_gib),
            ("--max-rows", self.rows),
        ):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name}: must be 0 (the default or no limit) or more, got {value}")

    @property
    def memory(self) -> float:
        """The limit of memory in GiB."""
        return self.memory_gib or round(_usable_gib(), 2)

    @property
    def out_of_time(self) -> str:
        """What a user reads when the time is over."""
        return f"SQL: stopped after {self.timeout_s:g} s; --timeout SECONDS allows more, 0 any time"

    @property
    def out_of_memory(self) -> str:
        """What a user reads when the memory is used up."""
        return f"SQL: needs more than {self.memory:g} GiB of memory; --max-memory GIB allows more"


class _Interruptible(Protocol):
    def interrupt(self) -> None: ...


@contextmanager
def time_limit(connection: _Interruptible, timeout_s: float) -> Iterator[threading.Event]:
    """Interrupt a connection's query after a time (0: never), and as soon as a signal arrives.

    Yields an event that tells that the time, and not a user, has ended it. DuckDB may look at signals only when a
    query has rows; a thread that is woken by the signal itself doesn't wait for that.
    """
    ran_out = threading.Event()

    def stop() -> None:
        ran_out.set()
        connection.interrupt()

    timer = threading.Timer(timeout_s, stop)
    timer.daemon = True
    if timeout_s > 0:
        timer.start()
    try:
        with _signals_interrupt(connection):
            yield ran_out
    finally:
        timer.cancel()


@contextmanager
def _signals_interrupt(connection: _Interruptible) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        if before != -1:  # an event loop, a notebook's for example, has its own way
            signal.set_wakeup_fd(before)
            yield
            return
        watcher = threading.Thread(target=_interrupt_when_woken, args=(ours, connection), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            with suppress(OSError):
                theirs.send(bytes([0]))  # lets the watcher end
            watcher.join()


def _interrupt_when_woken(wakeup: socket.socket, connection: _Interruptible) -> None:
    while number := wakeup.recv(1)[0]:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            connection.interrupt()
