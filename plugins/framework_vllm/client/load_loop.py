"""The event loop of one client process: sends what is due, notes every token, and never waits for either."""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isnan
from typing import TYPE_CHECKING, Final

from framework_vllm.client.board import FAILED, FINISHED, OPEN, REFUSED, STREAMING, Board
from framework_vllm.client.connections import READ, WRITE, Connection, ConnectionPool, describe

if TYPE_CHECKING:
    from framework_vllm.client.outbox import Outbox
    from framework_vllm.client.schedule import Schedule

AHEAD_S: Final = 1.0
"""Connections for what falls due within this time are opened in advance."""

_SENDS_IN_A_ROW: Final = 32  # then what has come in is read, so that a burst does not blind the client
_EVENTS_AT_ONCE: Final = 256
_RECEIVE_BYTES: Final = 32 * 1024
_TICK_S: Final = 0.01
_RESENDS: Final = 3
_RETRY_PAUSE_S: Final = 0.25
_STALE_WITHIN_S: Final = 1.0
_TIMER_STEP_S: Final = (
    0.001  # epoll counts in milliseconds; what is nearer is waited for with select, which does not
)
_REFUSALS: Final = frozenset({400, 413, 422})
_TRY_AGAIN: Final = frozenset({429, 503})
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass
class LoopReport:
    """What a client process has to say beyond the board.

    Attributes:
        errors: row → why it failed.
        finish_reasons: row → why its answer ended, where that is not `length`.
        connections, resent, retried: counts. `resent`: the server had closed an idle connection just then.
        busy_max_s: longest time between two looks at the sockets, so the most by which a time can be late.
        cpu_s, wall_s: time of this process and of the clock.
    """

    errors: dict[int, str] = field(default_factory=dict)
    finish_reasons: dict[int, str] = field(default_factory=dict)
    connections: int = 0
    resent: int = 0
    retried: int = 0
    busy_max_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0


class LoadLoop:
    """Runs one process's share of a load against the servers.

    Args:
        process: its number.
        board: where it writes.
        schedule: what falls due when.
        outbox: gives the requests as bytes.
        pool: the connections.
        poller: that the pool's sockets are registered with.
        control: a descriptor and what to call when it can be read; true ends the loop.
        horizon_s: when the load is cut; infinity never.
        timeout_s, retries, least_load: of the plan.
    """

    def __init__(
        self,
        process: int,
        board: Board,
        schedule: Schedule,
        outbox: Outbox,
        pool: ConnectionPool,
        poller: select.epoll,
        control: tuple[int, Callable[[], bool]],
        horizon_s: float,
        timeout_s: float,
        retries: int,
        least_load: bool,
    ) -> None:
        self._board, self._schedule, self._outbox, self._pool, self._poller = (
            board,
            schedule,
            outbox,
            pool,
            poller,
        )
        self._control_fd, self._control = control
        self._horizon_s, self._timeout_s, self._retries = horizon_s, timeout_s, retries
        self._least_load = least_load
        self._targets = board.targets
        self._first_cell = process * board.targets
        self._t0 = inf
        self._active: dict[int, Connection] = {}
        self._timeouts: deque[tuple[float, int, int]] = deque()
        self._resends: dict[int, int] = {}
        self._ended = False
        self.report = LoopReport()
        for name in ("due_s", "sent_s", "lag_s", "first_s", "last_s", "token_times_s"):
            setattr(self, f"_{name}", board.view(name))
        self._columns = {name: board.view(name) for name in _WRITTEN_ONCE}
        self._state, self._attempts, self._open = (
            board.view("state"),
            board.view("attempts"),
            board.view("open"),
        )
        self._tokens, self._token_at = board.view("tokens"), board.view("token_at")
        poller.register(self._control_fd, READ)

    if TYPE_CHECKING:
        _due_s: memoryview[float]
        _sent_s: memoryview[float]
        _lag_s: memoryview[float]
        _first_s: memoryview[float]
        _last_s: memoryview[float]
        _token_times_s: memoryview[float]

    def prepare(self, limit_s: float) -> None:
        """Make prompts and open connections for the start, for at most so long."""
        until = time.monotonic() + limit_s
        self._outbox.fill()
        while time.monotonic() < until and not self._ended:
            wanted = self._wanted()
            if all(self._pool.idle(target) >= wanted for target in range(self._targets)):
                return
            before = self._pool.opened
            for target in range(self._targets):
                self._pool.open_ahead(target, wanted)
            self._handle(self._poller.poll(0.005, _EVENTS_AT_ONCE))
            if before == self._pool.opened and not any(not c.established for c in self._pool.by_fd.values()):
                return  # refused, or out of descriptors: the requests themselves will tell

    def run(self, t0_monotonic_s: float) -> LoopReport:
        """Run the load from its t = 0 on, until all is served, the horizon is reached or control says so."""
        self._t0 = t0_monotonic_s
        cpu_start_s, start_s = time.process_time(), time.monotonic()
        next_tick_s = -inf
        while not self._ended:
            now = self._now()
            if now >= self._horizon_s:
                break
            if now >= next_tick_s:
                self._tick(now)
                next_tick_s = now + _TICK_S
            self._send_due(now)
            if not self._active and not self._schedule.left():
                break
            wake_s = min(self._schedule.next_due_s(), next_tick_s, self._horizon_s)
            if wake_s - self._now() > _TICK_S / 4 and self._outbox.behind:
                self._outbox.prepare_next()
                wake_s = -inf
            busy_s = self._now() - now
            if busy_s > self.report.busy_max_s:
                self.report.busy_max_s = busy_s
            self._handle(self._ready(wake_s))
        self.report.connections = self._pool.opened
        self.report.cpu_s = time.process_time() - cpu_start_s
        self.report.wall_s = time.monotonic() - start_s
        self._pool.close()
        return self.report

    def _now(self) -> float:
        return time.monotonic() - self._t0

    def _wanted(self) -> int:
        """Return how many connections to each target the near future needs."""
        now = -AHEAD_S if self._t0 == inf else self._now()
        upcoming = self._schedule.upcoming(max(now, 0.0) + AHEAD_S)
        return -(-upcoming // self._targets) if upcoming else 0

    def _ready(self, wake_s: float) -> list[tuple[int, int]]:
        """Wait for sockets, or until a time, to a fraction of a millisecond."""
        wait_s = wake_s - self._now()
        if wait_s > 2 * _TIMER_STEP_S:
            return self._poller.poll(wait_s - _TIMER_STEP_S, _EVENTS_AT_ONCE)
        if wait_s > 0:
            select.select([self._poller.fileno()], [], [], wait_s)
        return self._poller.poll(0, _EVENTS_AT_ONCE)

    def _tick(self, now: float) -> None:
        wanted = self._wanted()
        for target in range(self._targets):
            self._pool.open_ahead(target, wanted)
        timeouts = self._timeouts
        while timeouts and timeouts[0][0] <= now:
            _, row, attempt = timeouts.popleft()
            connection = self._active.get(row)
            if connection is not None and self._attempts[row] == attempt:
                tokens = connection.tokens
                self._fail(
                    connection, f"no complete answer within {self._timeout_s:g} s ({tokens} tokens came)", now
                )

    def _send_due(self, now: float) -> None:
        schedule = self._schedule
        for _ in range(_SENDS_IN_A_ROW):
            if schedule.next_due_s() > now:
                return
            row, due_s = schedule.pop()
            if isnan(self._due_s[row]):
                self._due_s[row] = due_s
            self._begin(row, now, fresh=False)
            now = self._now()

    def _begin(self, row: int, now: float, fresh: bool) -> None:
        """Begin an attempt at a request, on an idle connection unless it must be a fresh one."""
        target = self._route(row)
        self._columns["target"][row] = target
        self._attempts[row] += 1
        self._state[row] = OPEN
        self._open[self._first_cell + target] += 1
        try:
            connection = self._pool.open(target) if fresh else self._pool.take(target)
        except OSError as error:
            self._unconnected(row, target, error, now)
            return
        connection.row = row
        connection.started_s = now
        connection.token_at = self._token_at[row]
        connection.room = self._outbox.output_tokens(row)
        connection.tokens = 0
        connection.stream = type(connection.stream)()
        self._active[row] = connection
        self._timeouts.append((now + self._timeout_s, row, self._attempts[row]))
        connection.unsent = self._outbox.take(row, target)
        if connection.established:
            self._send(connection)

    def _route(self, row: int) -> int:
        if self._targets == 1:
            return 0
        if not self._least_load:
            return row % self._targets
        loads = [sum(self._open[target :: self._targets]) for target in range(self._targets)]
        return min(range(self._targets), key=lambda target: (loads[target], (target - row) % self._targets))

    def _send(self, connection: Connection) -> None:
        message = connection.unsent
        assert message is not None
        try:
            taken = connection.sock.send(message)
        except _WOULD_BLOCK:
            taken = 0
        except OSError as error:
            self._lost(connection, describe(error), self._now())
            return
        if taken < len(message):
            connection.unsent = memoryview(message)[taken:]
            self._poller.modify(connection.fd, READ | WRITE)
            return
        if isinstance(message, memoryview):
            self._poller.modify(connection.fd, READ)
        connection.unsent = None
        row, now = connection.row, self._now()
        self._sent_s[row] = now
        if isnan(self._lag_s[row]):
            self._lag_s[row] = now - self._due_s[row]

    def _handle(self, ready: list[tuple[int, int]]) -> None:
        """Serve the sockets that have something; their common time is that of the look at them."""
        now = self._now()
        by_fd = self._pool.by_fd
        for fd, mask in ready:
            connection = by_fd.get(fd)
            if connection is None:
                if fd == self._control_fd and self._control():
                    self._ended = True
                continue
            if mask & WRITE:
                self._writable(connection, now)
                if connection.fd not in by_fd:
                    continue
            if mask & ~WRITE and connection.established:
                self._readable(connection, now)
        self._pool.bury()

    def _writable(self, connection: Connection, now: float) -> None:
        if not connection.established:
            try:
                if not self._pool.progress(connection):
                    return
            except OSError as error:
                row, target = connection.row, connection.target
                self._pool.drop(connection)
                if row >= 0:
                    del self._active[row]
                    self._unconnected(row, target, error, now)
                return
        if connection.unsent is not None:
            self._send(connection)

    def _readable(self, connection: Connection, now: float) -> None:
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            if connection.row < 0:
                self._pool.drop(connection)
            else:
                self._lost(connection, describe(error), now)
            return
        if connection.row < 0 or not data:
            self._hung_up(connection, now)
            return
        stream = connection.stream
        tokens = stream.feed(data)
        if tokens:
            self._note(connection, tokens, now)
        if stream.complete:
            self._complete(connection, now)
        elif isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
            self._readable(connection, now)

    def _note(self, connection: Connection, tokens: int, now: float) -> None:
        """Write down the arrival of tokens."""
        row, seen = connection.row, connection.tokens
        if seen == 0:
            connection.first_s = now
            self._first_s[row] = now
            self._state[row] = STREAMING
        offset_s = now - connection.first_s
        times = self._token_times_s
        at = connection.token_at
        connection.tokens = total = seen + tokens
        for place in range(at + seen, at + min(total, connection.room)):
            times[place] = offset_s
        self._tokens[row] = total
        self._last_s[row] = now

    def _hung_up(self, connection: Connection, now: float) -> None:
        if connection.row < 0:
            self._pool.drop(connection)
            return
        tokens = connection.stream.closed()
        if tokens:
            self._note(connection, tokens, now)
        if connection.stream.failure and not connection.stream.begun:
            self._lost(connection, connection.stream.failure, now)
        else:
            self._complete(connection, now)

    def _lost(self, connection: Connection, reason: str, now: float) -> None:
        """Fail a request whose connection broke, unless the server had only tired of an idle connection."""
        row = connection.row
        stale = (
            not connection.stream.begun and now - connection.started_s < _STALE_WITHIN_S and connection.reused
        )
        if stale and self._resends.get(row, 0) < _RESENDS:
            self._resends[row] = self._resends.get(row, 0) + 1
            self.report.resent += 1
            self._leave(connection)
            self._begin(row, now, fresh=True)
            return
        if connection.stream.begun and connection.stream.status == 200:
            reason = f"{reason} after {connection.tokens} tokens"
        self._fail(connection, reason, now)

    def _complete(self, connection: Connection, now: float) -> None:
        """Close the books on an exchange whose answer is whole, or will never be."""
        stream, row = connection.stream, connection.row
        failure = stream.failure
        if failure is None and stream.tokens == 0:
            failure = "the stream ended without a token"
        if failure is not None:
            if stream.status in _TRY_AGAIN and self._may_retry(row):
                self._leave(connection, keep=stream.reusable)
                self._retry(row, now, stream.retry_after_s)
                return
            self._fail(connection, failure, now, REFUSED if stream.status in _REFUSALS else FAILED)
            return
        if stream.finish_reason not in ("length", None):
            self.report.finish_reasons[row] = str(stream.finish_reason)
        self._leave(connection, keep=stream.reusable)
        self._state[row] = FINISHED
        self._schedule.released(now)

    def _fail(self, connection: Connection, reason: str, now: float, state: int = FAILED) -> None:
        row = connection.row
        self._leave(connection)
        self._give_up(row, reason, now, state)

    def _give_up(self, row: int, reason: str, now: float, state: int = FAILED) -> None:
        self.report.errors[row] = reason
        self._state[row] = state
        self._schedule.released(now)

    def _leave(self, connection: Connection, keep: bool = False) -> None:
        """Take a request off its connection and write down what its answer said."""
        row, stream = connection.row, connection.stream
        columns = self._columns
        columns["http_status"][row] = stream.status
        columns["events"][row] = stream.events
        columns["counted"][row] = stream.counted
        if stream.prompt_tokens is not None:
            columns["prompt_tokens"][row] = stream.prompt_tokens
        if stream.completion_tokens is not None:
            columns["completion_tokens"][row] = stream.completion_tokens
        self._open[self._first_cell + connection.target] -= 1
        del self._active[row]
        if keep and connection.unsent is None:
            self._pool.give_back(connection)
        else:
            self._pool.drop(connection)

    def _unconnected(self, row: int, target: int, error: OSError, now: float) -> None:
        self._open[self._first_cell + target] -= 1
        if isinstance(error, ConnectionRefusedError) and self._may_retry(row):
            self._retry(row, now, None)
        else:
            self._give_up(row, describe(error), now)

    def _may_retry(self, row: int) -> bool:
        attempts: int = self._attempts[row] - self._resends.get(row, 0)
        return attempts <= self._retries

    def _retry(self, row: int, now: float, after_s: float | None) -> None:
        """Send a request again after the pause that the server asked for, else after one that doubles."""
        self.report.retried += 1
        attempt = self._attempts[row] - self._resends.get(row, 0)
        self._schedule.retry(
            row, now + (after_s if after_s is not None else _RETRY_PAUSE_S * 2 ** (attempt - 1))
        )


_WRITTEN_ONCE: Final = ("events", "prompt_tokens", "completion_tokens", "target", "http_status", "counted")
