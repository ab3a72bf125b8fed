"""A free port that stays ours until the server has it, and as long as it lives."""

from __future__ import annotations

import socket
from types import TracebackType

from framework.errors import UserError


class PortTakenError(UserError):
    """Another program listens on the port."""


class HeldPort:
    """A port of the loopback address, bound by a socket of ours that never listens.

    With `SO_REUSEADDR` on both sides Linux lets a server bind and listen on the same port, while it hands it to
    no program that asks for any free one. Between choosing a port and the server's listening there is thus no gap in
    which another program, or another run next to this one, could get it.
    """

    def __init__(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Hold `port`, or any free one. Raises `PortTakenError` if another program listens on it."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port or 0))
        except OSError as error:
            self._socket.close()
            raise PortTakenError(
                f"backend.port: {port} on {host} is taken by another program: {error.strerror}"
            ) from error
        self.host = host
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Let go of it."""
        self._socket.close()

    def __enter__(self) -> HeldPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
