"""Connections to the servers: opened before they are needed, a few at a time, and used again."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final, cast

from framework_vllm.client.load_contracts import LoadError
from framework_vllm.client.wire.completion_stream import CompletionStream
from framework_vllm.client.wire.request_bytes import Endpoint

CONNECTING_AT_ONCE: Final = 64
"""Handshakes of one process under way to one target. Servers listen with a backlog of 100 (asyncio) to 2,048
(uvicorn); beyond it the kernel drops the SYN and tries again only after a second."""

FRESH_PER_TICK: Final = 32
CONNECTIONS_PER_SOURCE: Final = 10_000
_REFUSED_PAUSE_S: Final = 0.5
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # linux/in.h; Python has no name for it before 3.12

READ: Final = getattr(select, "EPOLLIN", 1)
WRITE: Final = getattr(select, "EPOLLOUT", 4)


class Connection:
    """A socket and the exchange on it.

    Attributes:
        row: of the request it serves; -1 when idle.
        stream: parser of the answer.
        unsent: what of the request the kernel has not taken yet.
        established: TCP (and TLS) are done.
        reused: it was open and idle before this request, so the server may be closing it just now.
        token_at: where the request's token times go; `tokens` of them are written, `room` is their number.
        first_s: time of its first token.
        started_s: when this attempt began.
    """

    __slots__ = (
        "established", "fd", "first_s", "recv", "reused", "room", "row", "sock", "started_s", "stream", "target",
        "token_at", "tokens", "unsent",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, target: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.target = target
        self.row = -1
        self.reused = False
        self.established = False
        self.unsent: bytes | memoryview | None = None
        self.stream = CompletionStream()
        self.tokens = self.room = self.token_at = 0
        self.first_s = self.started_s = 0.0


class ConnectionPool:
    """The connections of one client process.

    Args:
        endpoints: the targets.
        poller: gets every socket.
        process: number of this process; on loopback each has source addresses of its own (`_source`).

    Attributes:
        by_fd: every open connection.
        opened: connections opened so far.

    Raises:
        LoadError: a target's host name has no address.
    """

    def __init__(self, endpoints: Sequence[Endpoint], poller: select.epoll, process: int) -> None:
        self._endpoints = endpoints
        self._poller = poller
        self._addresses = [_resolve(endpoint) for endpoint in endpoints]
        self._process = process
        self._live = [0] * len(endpoints)
        self._idle: list[dict[Connection, None]] = [{} for _ in endpoints]
        self._opening: list[set[Connection]] = [set() for _ in endpoints]
        self._pause_until_s = [0.0] * len(endpoints)
        self._tls = ssl.create_default_context() if any(endpoint.tls for endpoint in endpoints) else None
        self._dropped: list[socket.socket] = []
        self.by_fd: dict[int, Connection] = {}
        self.opened = 0

    def take(self, target: int) -> Connection:
        """Return an idle connection, or one just begun; raises `OSError` if none can be had."""
        idle = self._idle[target]
        if idle:
            connection, _ = (
                idle.popitem()
            )  # the one used last: the least likely to have been closed by the server
            connection.reused = True
            return connection
        return self.open(target)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose exchange is over for the next one."""
        connection.row = -1
        self._idle[connection.target][connection] = None

    def open_ahead(self, target: int, wanted: int) -> None:
        """Open connections so that `wanted` are idle or on their way, some now and some at the next call."""
        opening = self._opening[target]
        missing = wanted - len(self._idle[target]) - len(opening)
        room = min(CONNECTING_AT_ONCE - len(opening), FRESH_PER_TICK, missing)
        if room <= 0 or time.monotonic() < self._pause_until_s[target]:
            return
        for _ in range(room):
            try:
                connection = self.open(target)
            except OSError:  # refused, or no descriptor left: the requests that need one will say so
                self._pause_until_s[target] = time.monotonic() + _REFUSED_PAUSE_S
                return
            opening.add(connection)

    def opening(self) -> bool:
        """Return whether any connection is on its way ahead of its request."""
        return any(self._opening)

    def idle(self, target: int) -> int:
        """Return how many connections to a target wait for a request."""
        return len(self._idle[target])

    def open(self, target: int) -> Connection:
        """Begin a connection; raises `OSError`."""
        family, address = self._addresses[target]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET and str(address[0]).startswith("127."):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                    sock.bind((self._source(target), 0))
            code = sock.connect_ex(address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "")
            connection = Connection(sock, target)
            self._poller.register(connection.fd, READ | WRITE)
        except OSError:
            sock.close()
            raise
        self.by_fd[connection.fd] = connection
        self.opened += 1
        self._live[target] += 1
        return connection

    def _source(self, target: int) -> str:
        """Return the loopback address to connect from.

        Linux has 28,000 ports for a pair of addresses and takes those of one parity first: from the 14,001st
        connection on it looks through all of them, 10 ms each time. Loopback has addresses to spare.
        """
        return f"127.0.{self._live[target] // CONNECTIONS_PER_SOURCE}.{2 + self._process}"

    def progress(self, connection: Connection) -> bool:
        """Go on with a connection that is not established; return whether it now is. Raises `OSError`."""
        code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "")
        endpoint = self._endpoints[connection.target]
        if endpoint.tls and self._tls:
            if not isinstance(connection.sock, ssl.SSLSocket):
                connection.sock = self._tls.wrap_socket(
                    connection.sock, server_hostname=endpoint.host, do_handshake_on_connect=False
                )
                connection.recv = connection.sock.recv
            try:
                connection.sock.do_handshake()
            except ssl.SSLWantReadError:
                self._poller.modify(connection.fd, READ)
                return False
            except ssl.SSLWantWriteError:
                return False
        connection.established = True
        self._poller.modify(connection.fd, READ)
        opening = self._opening[connection.target]
        if connection in opening:
            opening.discard(connection)
            self._idle[connection.target][connection] = None
        return True

    def drop(self, connection: Connection) -> None:
        """Give a connection up, whatever its state; `bury` closes it."""
        if self.by_fd.pop(connection.fd, None) is None:
            return
        opening = self._opening[connection.target]
        if connection in opening:
            opening.discard(connection)
            self._pause_until_s[connection.target] = time.monotonic() + _REFUSED_PAUSE_S
        else:
            self._idle[connection.target].pop(connection, None)
        self._live[connection.target] -= 1
        self._poller.unregister(connection.fd)
        self._dropped.append(connection.sock)

    def bury(self) -> None:
        """Close what was dropped. Only between two looks at the sockets: a number given back earlier could come
        again with a new connection, and an event of the old one be treated as its own."""
        for sock in self._dropped:
            sock.close()
        self._dropped.clear()

    def close(self) -> None:
        """Close every connection; servers take that as a cancelled request."""
        self.bury()
        for connection in self.by_fd.values():
            connection.sock.close()
        self.by_fd.clear()


def describe(error: OSError) -> str:
    """Return one line on a socket's error."""
    code = error.errno
    if code == errno.ECONNREFUSED:
        return "connection refused"
    if code in (errno.ECONNRESET, errno.EPIPE):
        return "connection reset by the server"
    if code in (errno.EMFILE, errno.ENFILE):
        return "client out of file descriptors: raise `ulimit -n`, or use more client processes"
    if code == errno.EADDRNOTAVAIL:
        return "client out of ports: use more targets or more client processes"
    return (
        error.strerror
        or (errno.errorcode.get(code, "") if code else "")
        or str(error)
        or type(error).__name__
    )


def _resolve(endpoint: Endpoint) -> tuple[int, tuple[str | int, ...]]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LoadError(f"target {endpoint.authority}: no such host ({error.strerror})") from None
    family, _, _, _, address = found[0]
    return family, cast("tuple[str | int, ...]", address)
