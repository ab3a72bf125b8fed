"""Reports that come ten times a second, as the few lines that a log can bear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FIRST_LINE_AFTER_S = 5.0
_LEAST_PAUSE_S, _MOST_PAUSE_S = 10.0, 300.0


class PacedLines:
    """Writes the latest of many reports, as often as a log can bear: none before five seconds, then ever fewer.

    What is reported is written by a thread, so that a report which nothing follows is seen too.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._latest = self._written = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress lines", daemon=True)

    def __enter__(self) -> PacedLines:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def report(self, line: str) -> None:
        """Take the place of the line before; an empty one withdraws it."""
        self._latest = line

    def _run(self) -> None:
        started, pause_s = time.monotonic(), FIRST_LINE_AFTER_S
        while not self._stop.wait(pause_s):
            pause_s = min(FIRST_LINE_AFTER_S, 0.5)  # nothing new yet: look again soon
            line = self._latest
            if line and line != self._written:
                self._write(line)
                self._written = line
                pause_s = min(max(_LEAST_PAUSE_S, 0.1 * (time.monotonic() - started)), _MOST_PAUSE_S)


def percent(fraction: float) -> str:
    """Return a share as `42 %`."""
    return f"{100 * fraction:.0f} %"
