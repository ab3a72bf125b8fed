"""Asks servers for `/metrics` next to the load, and keeps the answers as they came.

Reading an answer costs milliseconds of the interpreter that the load client may share: answers are kept
compressed and are read after the run.
"""

from __future__ import annotations

import http.client
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

_FIRST_INTERVAL_S = 0.1
_SHARE_OF_ELAPSED = 0.05
_TIMEOUT_S = 10.0
_PATH = "/metrics"


@dataclass(frozen=True)
class Scrape:
    """One answer.

    Attributes:
        asked_s, answered_s: `time.monotonic()` around it; the engine wrote it in between.
        body: compressed text.
    """

    asked_s: float
    answered_s: float
    body: bytes

    @property
    def time_s(self) -> float:
        """Time that the answer is taken to hold for."""
        return (self.asked_s + self.answered_s) / 2

    @property
    def text(self) -> str:
        """What the server wrote."""
        return zlib.decompress(self.body).decode(errors="replace")


class ServerScraper:
    """Scrapes one server in a thread of its own.

    The interval grows with the time since the load began, up to the period: a run of a second is seen in steps
    of a tenth, a run of an hour in steps of the period. Until it begins the interval stays short, so that the
    last answer before it is a state with the warm-up done.

    Attributes:
        scrapes: the answers so far.
        began_s: `time.monotonic()` when the load began; None before that.
        trouble: why the last question was not answered; None if it was.
    """

    def __init__(self, url: str, headers: Mapping[str, str], period_s: float | None) -> None:
        self.scrapes: list[Scrape] = []
        self.trouble: str | None = None
        self._url = urlsplit(url)
        self._headers = dict(headers)
        self._period_s = period_s
        self.began_s: float | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"metrics {url}", daemon=True)

    def start(self) -> None:
        """Take the first scrape and begin."""
        self.scrape()
        if self._period_s is not None and self.trouble is None:
            self._thread.start()

    def stop(self) -> None:
        """End, after a last scrape."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_S + 1.0)
        self.scrape()
        self._disconnect()

    def scrape(self) -> None:
        """Ask now; an answer that does not come is remembered as `trouble`."""
        with self._lock:
            asked_s = time.monotonic()
            try:
                body = self._get()
            except (OSError, http.client.HTTPException) as error:
                self._disconnect()
                self.trouble = f"{_PATH}: {error or type(error).__name__}"
                return
            self.trouble = None
            self.scrapes.append(Scrape(asked_s, time.monotonic(), zlib.compress(body, 1)))

    def _get(self) -> bytes:
        if self._connection is None:
            secure = self._url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._url.hostname or "", self._url.port, timeout=_TIMEOUT_S)
        self._connection.request("GET", self._url.path.rstrip("/") + _PATH, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"HTTP {answer.status}")
        return body

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self) -> None:
        assert self._period_s is not None
        while True:
            elapsed = 0.0 if self.began_s is None else time.monotonic() - self.began_s
            interval = min(self._period_s, max(_FIRST_INTERVAL_S, _SHARE_OF_ELAPSED * elapsed))
            if self._stopped.wait(interval):
                return
            self.scrape()


class MetricScraper:
    """Scrapes all servers of a run; a context manager around the load."""

    def __init__(
        self, targets: Sequence[tuple[str, Mapping[str, str]]], period_s: float | None, settle_s: float = 0.25
    ) -> None:
        """Prepare.

        Args:
            targets: (url, headers) of each server.
            period_s: longest interval; None: only before and after.
            settle_s: wait before the last scrape: an engine counts a step after its tokens have left.
        """
        self.servers = [ServerScraper(url, headers, period_s) for url, headers in targets]
        self._settle_s = settle_s

    def load_began(self) -> None:
        """Note that the load has begun, if that was not known yet."""
        for server in self.servers:
            if server.began_s is None:
                server.began_s = time.monotonic()

    def __enter__(self) -> MetricScraper:
        for server in self.servers:
            server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            time.sleep(self._settle_s)
        for server in self.servers:
            server.stop()
