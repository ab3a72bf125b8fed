"""What a query may take: time, memory, rows. The defaults are those that a laptop survives."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from framework.errors import ConfigError

_SHARE_OF_MEMORY, _MOST_GIB = 0.5, 4.0
DEFAULT_TIMEOUT_S = 60.0
_BESIDE_GIB = 0.3
"""What a process may need beside DuckDB's own memory: rows on their way out, and temporary values."""
_OBEYS_WITHIN_S = 2.0
_USUAL_STACK = 8 * 2**20


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
        alone: the process carries out the query and nothing else. Then the system limits its memory too, and it is
            ended where DuckDB does not obey: neither its limit nor an interrupt reaches constants that it computes
            while it plans (`SELECT range(1000000000)`).
    """

    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_gib: float = 0.0
    rows: int = 0
    alone: bool = False

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


class _Query:
    """A query that can be told to stop."""

    def __init__(self, connection: _Interruptible, limits: QueryLimits) -> None:
        self.ran_out = threading.Event()
        self._connection, self._limits = connection, limits
        self._timers: list[threading.Timer] = []

    def later(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        """Call that in so many seconds, unless the query has ended."""
        timer = threading.Timer(seconds, call, arguments)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def stop(self, status: int, words: str) -> None:
        """Interrupt it. A process of its own that does not obey is ended with this status and these words."""
        self._connection.interrupt()
        if self._limits.alone:
            self.later(_OBEYS_WITHIN_S, _end_process, status, words)

    def out_of_time(self) -> None:
        """Stop it for the time it takes."""
        self.ran_out.set()
        self.stop(1, f"error: {self._limits.out_of_time}")

    def ended(self) -> None:
        """Call nothing of what was to be called later."""
        for timer in self._timers:
            timer.cancel()


def _end_process(status: int, words: str) -> None:
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{words}\n".encode())
    os._exit(status)


@contextmanager
def held_to(limits: QueryLimits, connection: _Interruptible) -> Iterator[threading.Event]:
    """Interrupt a connection's query after its time, and as soon as a signal arrives; limit memory if it is alone.

    Yields an event that tells that the time, and not a user, has ended it. DuckDB may look at signals only when a
    query has rows; a thread that is woken by the signal itself doesn't wait for that.
    """
    query = _Query(connection, limits)
    with ExitStack() as held:
        held.callback(query.ended)
        if limits.alone:
            held.enter_context(memory_limit(limits.memory))
        if limits.timeout_s > 0:
            query.later(limits.timeout_s, query.out_of_time)
        held.enter_context(_signals_interrupt(query))
        yield query.ran_out


@contextmanager
def memory_limit(gib: float) -> Iterator[None]:
    """Let the system refuse this process more memory than DuckDB's limit and what it needs beside (on Linux)."""
    status = Path("/proc/self/status")
    used = re.search(r"VmData:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    stacks = (os.cpu_count() or 1) * (_USUAL_STACK if stack == resource.RLIM_INFINITY else stack)
    most = int(used[1]) * 1024 + int((gib + _BESIDE_GIB) * 2**30) + stacks
    allowed = [limit for limit in (most, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(allowed), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def _signals_interrupt(query: _Query) -> Iterator[None]:
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
        watcher = threading.Thread(target=_interrupt_when_woken, args=(ours, query), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            with suppress(OSError):
                theirs.send(bytes([0]))  # lets the watcher end
            watcher.join()


def _interrupt_when_woken(wakeup: socket.socket, query: _Query) -> None:
    while number := wakeup.recv(1)[0]:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            query.stop(128 + number, "interrupted")
