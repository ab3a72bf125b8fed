"""The engines of one run: started without racing for memory or ports, ended together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from framework_vllm.server.engine_server import EngineCommand, EngineServer
from framework_vllm.server.mps import MpsDaemon
from framework_vllm.server.placement import Place
from framework_vllm.server.port import HeldPort
from framework_vllm.server.start_failures import EnginePortError

_PORT_TRIES = 3


@dataclass(frozen=True)
class FleetPlan:
    """What to start.

    Attributes:
        command: of the replica with this number in this place.
        places: one a replica.
        abreast: replicas that may start at the same time, because they share no GPU.
        first_port: of the first replica; None: free ones.
        mps: whether replicas that share a GPU are clients of an MPS daemon.
        start_timeout_s, stop_grace_s: see `EngineSettings`.
        scratch: folder for logs.
        prefix: words before the command of a process: a profiler (`RunContext.command_prefix`).
    """

    command: Callable[[int, Place], EngineCommand]
    places: Sequence[Place]
    abreast: int
    first_port: int | None
    mps: bool
    start_timeout_s: float
    stop_grace_s: float
    scratch: Path
    prefix: Callable[[str], Sequence[str]] = lambda process: ()


@dataclass
class Fleet:
    """Running engines; a context manager that ends them whatever happens."""

    plan: FleetPlan
    progress: Callable[[str], None] = lambda text: None
    servers: list[EngineServer] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    _mps: MpsDaemon | None = None

    def __enter__(self) -> Fleet:
        try:
            if self.plan.mps:
                devices = tuple(dict.fromkeys(name for place in self.plan.places for name in place.devices))
                self._mps = MpsDaemon(devices, self.plan.scratch)
            for first in range(0, len(self.plan.places), self.plan.abreast):
                # those on one GPU one after the other: each measures what memory the others have left
                self._start_abreast(range(first, min(first + self.plan.abreast, len(self.plan.places))))
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _start_abreast(self, numbers: range) -> None:
        servers = [self._started(number, held=True) for number in numbers]
        for number, server in zip(numbers, servers, strict=True):
            self.start_s.append(self._ready(number, server))

    def _started(self, number: int, held: bool) -> EngineServer:
        port = HeldPort(port=self._port(number))
        if not held:
            port.release()
        place = self.plan.places[number]
        name = f"engine-{number}"
        command = self.plan.command(number, place)
        if self._mps is not None:
            command = EngineCommand(command.words, {**command.environment, **self._mps.environment})
        prefix, engine_words = list(self.plan.prefix(name)), command.words
        if prefix:
            command = EngineCommand(lambda port: [*prefix, *engine_words(port)], command.environment)
        log = self.plan.scratch / f"{name}.log"
        try:
            server = EngineServer(name, command, port, log, self.plan.stop_grace_s)
        except BaseException:
            port.release()
            raise
        self.servers.append(server)
        return server

    def _port(self, number: int) -> int | None:
        return None if self.plan.first_port is None else self.plan.first_port + number

    def _ready(self, number: int, server: EngineServer) -> float:
        """Wait for a server; start it again on another port where it could not have the one it was given."""
        for tries_left in range(_PORT_TRIES - 1, -1, -1):
            try:
                return server.wait_ready(self.plan.start_timeout_s, self._told(server))
            except EnginePortError:
                if tries_left == 0 or self.plan.first_port is not None:
                    raise
                server.end()
                self.servers.remove(server)
                server = self._started(number, held=False)  # it may not share the port with our hold
        raise AssertionError("unreachable")

    def _told(self, server: EngineServer) -> Callable[[str], None]:
        return lambda step: self.progress(f"{server.name}: {step}")

    def failure(self) -> str | None:
        """Return why one of the engines is not running any more; None while all are."""
        return next((str(error) for error in (server.failure() for server in self.servers) if error), None)

    def end(self) -> None:
        """End every engine, then MPS."""
        for server in self.servers:
            server.end()
        if self._mps is not None:
            self._mps.end()
