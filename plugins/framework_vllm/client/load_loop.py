"""The event loop of one client process: sends what is due, notes every token, and never waits for either."""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from framework_vllm.client.request_ledger import Ledger, LoopReport
from framework_vllm.client.wire.completion_stream import CompletionStream
from framework_vllm.client.wire.connections import READ, WRITE, Connection, ConnectionPool, describe
from framework_vllm.client.workers.board import FAILED, REFUSED

if TYPE_CHECKING:
    from framework_vllm.client.outbox import Outbox
    from framework_vllm.client.send_times import Schedule

AHEAD_S: Final = 0.5
"""Connections for what falls due within this time are opened in advance."""

_SENDS_IN_A_ROW: Final = 32  # then what has come in is read, so that a burst does not blind the client
_EVENTS_AT_ONCE: Final = 256
_RECEIVE_BYTES: Final = 32 * 1024
_TICK_S: Final = 0.01
_CROWD: Final = 150  # sockets served in a tick
_REST_S: Final = 0.0002
"""Above 15,000 reads a second the client lets some gather before it looks, as network cards do: woken for each single
token, it would take the time of the server it measures. It costs that much in precision."""

_TIMER_STEP_S: Final = (
    0.001  # epoll counts in milliseconds; what is nearer is waited for with select, which does not
)
_RETRY_PAUSE_S: Final = 0.25
_RESENDS: Final = 3
_STALE_WITHIN_S: Final = 1.0
_REFUSALS: Final = frozenset({400, 413, 422})
_TRY_AGAIN: Final = frozenset({429, 503})
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class LoopRules:
    """What a loop has to keep to.

    Attributes:
        horizon_s: when the load is cut; infinity never.
        timeout_s: longest time of an attempt, from its begin to the last token.
        retries: attempts after the first.
        least_load: route to the target with the fewest open requests, not in turn.
    """

    horizon_s: float
    timeout_s: float
    retries: int
    least_load: bool


class LoadLoop:
    """Runs one process's share of a load against the servers.

    Args:
        ledger: where it writes.
        schedule: what falls due when.
        outbox: gives the requests as bytes.
        pool: the connections.
        poller: that the pool's sockets are registered with.
        control: a descriptor and what to call when it can be read; true ends the loop.
        targets: number of servers.
        rules: when to end and when to give up.
    """

    def __init__(
        self,
        ledger: Ledger,
        schedule: Schedule,
        outbox: Outbox,
        pool: ConnectionPool,
        poller: select.epoll,
        control: tuple[int, Callable[[], bool]],
        targets: int,
        rules: LoopRules,
    ) -> None:
        self._ledger, self._schedule, self._outbox = ledger, schedule, outbox
        self._pool, self._poller = pool, poller
        self._control_fd, self._control = control
        self._targets, self._rules = targets, rules
        self._t0 = inf
        self._active: dict[int, Connection] = {}
        self._timeouts: deque[tuple[float, int, int]] = deque()  # when, row, attempt
        self._resends: dict[int, int] = {}
        self._served, self._crowded = 0, False
        self._ended = False
        poller.register(self._control_fd, READ)

    def prepare(self, limit_s: float) -> None:
        """Make prompts and open connections for the start, for at most so long."""
        until = time.monotonic() + limit_s
        self._outbox.fill()
        while time.monotonic() < until and not self._ended:
            wanted = self._wanted(0.0)
            if all(self._pool.idle(target) >= wanted for target in range(self._targets)):
                return
            before = self._pool.opened
            for target in range(self._targets):
                self._pool.open_ahead(target, wanted)
            self._handle(self._poller.poll(0.005, _EVENTS_AT_ONCE))
            if before == self._pool.opened and not self._pool.opening():
                return  # refused, or out of descriptors: the requests themselves will fail with the reason

    def run(self, t0_monotonic_s: float) -> LoopReport:
        """Run the load from its t = 0 on, until all is served, the horizon is reached or control says so."""
        self._t0 = t0_monotonic_s
        report = self._ledger.report
        cpu_start_s, start_s = time.process_time(), time.monotonic()
        next_tick_s = -inf
        while not self._ended:
            now = self._now()
            if now >= self._rules.horizon_s:
                break
            if now >= next_tick_s:
                self._tick(now)
                next_tick_s = now + _TICK_S
            self._send_due(now)
            if not self._active and not self._schedule.left():
                break
            wake_s = min(self._schedule.next_due_s(), next_tick_s, self._rules.horizon_s)
            if self._outbox.behind and wake_s - self._now() > _TICK_S / 4:
                self._outbox.prepare_next()
                wake_s = -inf
            report.busy_max_s = max(report.busy_max_s, self._now() - now)
            self._handle(self._ready(wake_s))
        report.connections = self._pool.opened
        report.cpu_s = time.process_time() - cpu_start_s
        report.wall_s = time.monotonic() - start_s
        self._pool.close()
        return report

    def _now(self) -> float:
        return time.monotonic() - self._t0

    def _wanted(self, now: float) -> int:
        """Return how many idle connections to each target the near future needs."""
        return -(-self._schedule.upcoming(max(now, 0.0) + AHEAD_S) // self._targets)

    def _ready(self, wake_s: float) -> list[tuple[int, int]]:
        """Wait for sockets, or until a time, to a fraction of a millisecond."""
        wait_s = wake_s - self._now()
        if self._crowded and wait_s > _REST_S:
            time.sleep(_REST_S)
            wait_s = 0.0
        if wait_s > 2 * _TIMER_STEP_S:
            return self._poller.poll(wait_s - _TIMER_STEP_S, _EVENTS_AT_ONCE)
        if wait_s > 0:
            select.select([self._poller.fileno()], [], [], wait_s)
        return self._poller.poll(0, _EVENTS_AT_ONCE)

    def _tick(self, now: float) -> None:
        """Do what need not be done at once: open connections ahead, end what takes too long."""
        self._crowded, self._served = self._served > _CROWD, 0
        wanted = self._wanted(now)
        for target in range(self._targets):
            self._pool.open_ahead(target, wanted)
        timeouts, limit_s = self._timeouts, self._rules.timeout_s
        while timeouts and timeouts[0][0] <= now:
            _, row, attempt = timeouts.popleft()
            connection = self._active.get(row)
            if connection is not None and self._ledger.attempts(row) == attempt:
                came = f"{connection.tokens} tokens received"
                self._fail(connection, f"no complete answer within {limit_s:g} s ({came})", now)

    def _send_due(self, now: float) -> None:
        schedule = self._schedule
        for _ in range(_SENDS_IN_A_ROW):
            if schedule.next_due_s() > now:
                return
            row, due_s = schedule.pop()
            self._ledger.due(row, due_s)
            self._begin(row, now, fresh=False)
            now = self._now()

    def _begin(self, row: int, now: float, fresh: bool) -> None:
        """Begin an attempt at a request, on an idle connection unless it must be a fresh one."""
        target = self._ledger.least_loaded(row) if self._rules.least_load else row % self._targets
        self._ledger.begun(row, target)
        try:
            connection = self._pool.open(target) if fresh else self._pool.take(target)
        except OSError as error:
            self._unconnected(row, target, error, now)
            return
        self._ledger.connected(connection, row, self._outbox.output_tokens(row))
        connection.started_s = now
        connection.stream = CompletionStream()
        connection.unsent = self._outbox.take(row, target)
        self._active[row] = connection
        self._timeouts.append((now + self._rules.timeout_s, row, self._ledger.attempts(row)))
        if connection.established:
            self._send(connection)

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
        self._ledger.sent(connection.row, self._now())

    def _handle(self, ready: list[tuple[int, int]]) -> None:
        """Serve the sockets that have something; their common time is that of the look at them."""
        now = self._now()
        self._served += len(ready)
        by_fd = self._pool.by_fd
        for fd, mask in ready:
            connection = by_fd.get(fd)
            if connection is None:
                if fd == self._control_fd and self._control():
                    self._ended = True
                continue
            if mask & WRITE or not connection.established:  # a TLS handshake may wait for either
                self._writable(connection, now)
                if fd not in by_fd:
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
                row = connection.row
                self._pool.drop(connection)
                if row >= 0:
                    del self._active[row]
                    self._unconnected(row, connection.target, error, now)
                return
        if connection.unsent is not None:
            self._send(connection)

    def _readable(self, connection: Connection, now: float) -> None:
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._lost(connection, describe(error), now)
            return
        if connection.row < 0 or not data:
            self._hung_up(connection, now)
            return
        stream = connection.stream
        tokens = stream.feed(data)
        if tokens:
            self._ledger.tokens(connection, tokens, now)
        if stream.complete:
            self._complete(connection, now)
        elif isinstance(connection.sock, ssl.SSLSocket) and connection.sock.pending():
            self._readable(connection, now)

    def _hung_up(self, connection: Connection, now: float) -> None:
        """Take the server's end of a connection, or bytes on one that asked for nothing."""
        if connection.row < 0:
            self._pool.drop(connection)
            return
        stream = connection.stream
        tokens = stream.closed()
        if tokens:
            self._ledger.tokens(connection, tokens, now)
        if stream.begun or stream.failure is None:
            self._complete(connection, now)
        else:
            self._lost(connection, stream.failure, now)

    def _lost(self, connection: Connection, reason: str, now: float) -> None:
        """Fail a request whose connection broke, unless the server had only tired of an idle connection."""
        row, stream = connection.row, connection.stream
        if row < 0:
            self._pool.drop(connection)
            return
        resends = self._resends.get(row, 0)
        stale = connection.reused and not stream.begun and now - connection.started_s < _STALE_WITHIN_S
        if stale and resends < _RESENDS:
            self._resends[row] = resends + 1
            self._ledger.report.resent += 1
            self._leave(connection)
            self._begin(row, now, fresh=True)
            return
        if stream.status == 200:
            reason = f"{reason} after {connection.tokens} tokens"
        self._fail(connection, reason, now)

    def _complete(self, connection: Connection, now: float) -> None:
        """Close the books on an exchange whose answer is whole, or will never be."""
        stream, row = connection.stream, connection.row
        failure = stream.failure
        if failure is None and stream.tokens == 0:
            failure = "the stream ended without a token"
        if failure is None:
            self._leave(connection, keep=stream.reusable)
            self._ledger.finished(row, stream.finish_reason)
            self._schedule.released(row, now)
        elif stream.status in _TRY_AGAIN and self._may_retry(row):
            self._leave(connection, keep=stream.reusable)
            self._retry(row, now, stream.retry_after_s)
        else:
            self._fail(connection, failure, now, REFUSED if stream.status in _REFUSALS else FAILED)

    def _fail(self, connection: Connection, reason: str, now: float, state: int = FAILED) -> None:
        row = connection.row
        self._leave(connection)
        self._give_up(row, reason, now, state)

    def _give_up(self, row: int, reason: str, now: float, state: int = FAILED) -> None:
        self._ledger.gave_up(row, reason, state)
        self._schedule.released(row, now)

    def _leave(self, connection: Connection, keep: bool = False) -> None:
        """Take a request off its connection, which is kept only if another can use it."""
        self._ledger.left(connection)
        del self._active[connection.row]
        if keep and connection.unsent is None:
            self._pool.give_back(connection)
        else:
            self._pool.drop(connection)

    def _unconnected(self, row: int, target: int, error: OSError, now: float) -> None:
        self._ledger.unconnected(target)
        if isinstance(error, ConnectionRefusedError) and self._may_retry(row):
            self._retry(row, now, None)
        else:
            self._give_up(row, describe(error), now)

    def _may_retry(self, row: int) -> bool:
        return self._tries(row) <= self._rules.retries

    def _tries(self, row: int) -> int:
        """Return the attempts at a request that its server had a chance to answer."""
        return self._ledger.attempts(row) - self._resends.get(row, 0)

    def _retry(self, row: int, now: float, after_s: float | None) -> None:
        """Send a request again after the pause that the server asked for, else after one that doubles."""
        self._ledger.report.retried += 1
        pause_s = _RETRY_PAUSE_S * 2 ** (self._tries(row) - 1) if after_s is None else after_s
        self._schedule.retry(row, now + pause_s)
