"""The dashboard as a server: where it listens, who is let in, and the look for new runs beside it."""

from __future__ import annotations

import re
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from framework.dashboard.guard import LOOPBACK, Admission
from framework.errors import ConfigError, UserError
from framework.processes.end_signals import stay_after
from framework.store.database.query_limits import QueryLimits

_TOKEN = re.compile(r"[\w-]{16,200}", re.ASCII)


@dataclass(frozen=True)
class Listening:
    """Where the server listens and what it asks for.

    Attributes:
        host, port: as the system knows them; port 0 is any that is free.
        token: what the address must hold; None: a new one where one is needed.
        names: further host names under which a browser may ask.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: Sequence[str] = ()

    @property
    def only_here(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK

    def admission(self) -> Admission:
        """Return who is let in: without a token only on this machine's own address.

        Raises:
            ConfigError: a token that is short or holds other characters than letters, digits, `-` and `_`.
        """
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ConfigError("--token: at least 16 letters, digits, '-' or '_'")
        token = self.token or (None if self.only_here else secrets.token_urlsafe(24))
        names = [*LOOPBACK, *self.names]
        if not self.only_here:
            names += [self.host, socket.gethostname(), socket.getfqdn()]
        return Admission(frozenset(name.lower() for name in names), not self.only_here, token)


def run_dashboard(
    listening: Listening, refresh_s: float, timeout_s: float, most_rows: int, outputs: Path
) -> int:
    """Serve the pages until the process is interrupted; return 0.

    Raises:
        ConfigError: the extra is not installed, or the address can't be used.
        StoreError: there is no store.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ConfigError("the dashboard needs: pip install 'framework-lab[dashboard]'") from error
    from framework.dashboard.desk import QUERY_LIMITS, Desk
    from framework.dashboard.web_app import build_app
    from framework.store.database.frames import open_store

    if timeout_s <= 0 or most_rows <= 0:
        raise ConfigError("--timeout and --max-rows: must be more than 0")
    admission = listening.admission()
    open_store(outputs, refresh=refresh_s > 0)
    limits = QueryLimits(timeout_s, QUERY_LIMITS.memory_gib, most_rows)
    desk = Desk(outputs, limits)
    app = build_app(desk, admission)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False, access_log=False)
    with _socket(listening) as bound, _new_runs(outputs, refresh_s):
        port = bound.getsockname()[1]
        host = f"[{listening.host}]" if ":" in listening.host else listening.host
        question = f"/?token={admission.token}" if admission.token else "/"
        print(f"http://{host}:{port}{question}  (Ctrl-C ends it)", flush=True)
        if admission.token and not listening.only_here:
            print(
                "anybody who has this address can read the store; the connection is not encrypted",
                file=sys.stderr,
            )
        try:
            uvicorn.Server(config).run(sockets=[bound])
        except KeyboardInterrupt as interrupt:
            stay_after(interrupt)
        finally:
            desk.close()
    return 0


@contextmanager
def _socket(listening: Listening) -> Iterator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listening.host, listening.port))
        bound.listen(128)  # from now on requests wait until they are answered
    except OSError as error:
        raise ConfigError(
            f"--host {listening.host} --port {listening.port}: {error.strerror or error}; "
            "--port 0 takes any that is free"
        ) from error
    with bound:
        yield bound


@contextmanager
def _new_runs(outputs: Path, every_s: float) -> Iterator[None]:
    """Bring finished runs into the database now and then; what can't be written is read as it is."""
    stop = threading.Event()

    def body() -> None:
        from framework.store.database.ingest import ingest
        from framework.store.database.reader import runs_not_ingested

        said = ""
        while not stop.wait(every_s):
            try:
                if runs_not_ingested(outputs):
                    ingest(outputs)
            except UserError as error:
                if said != str(error):
                    said = str(error)
                    print(f"finished runs are not brought into the database: {said}", file=sys.stderr)

    thread = threading.Thread(target=body, name="new runs", daemon=True)
    if every_s > 0:
        thread.start()
    try:
        yield
    finally:
        stop.set()
