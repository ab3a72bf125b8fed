"""Which process carries out a sweep on this machine: `outputs/sweeps/<sweep_id>.<host>-<pid>.launcher.json`.

`cancel` finds the process there and ends it in order, and `status` says that somebody is at work.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.processes.process_mark import lives, process_mark
from framework.store.durable import os_reason, write_whole
from framework.store.layout import sweeps_folder

_SUFFIX = ".launcher.json"


@dataclass(frozen=True)
class Launcher:
    """A process that carries out a sweep; its `mark` tells it from another one of its number."""

    sweep_id: str
    host: str
    pid: int
    mark: str | None

    @property
    def alive(self) -> bool:
        """Whether it lives, as far as this machine can tell."""
        return self.host == socket.gethostname() and lives(self.pid, self.mark)

    def end(self, patience_s: float = 30.0) -> bool:
        """Ask it to end, as Ctrl-C would, and wait for that; return whether it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


@contextmanager
def known_as_launcher(outputs: Path | str, sweep_id: str) -> Iterator[None]:
    """Leave word, while the block runs, that this process carries out a sweep; if that can't be written, without."""
    us = Launcher(sweep_id, socket.gethostname(), os.getpid(), process_mark(os.getpid()))
    file = sweeps_folder(outputs) / f"{sweep_id}.{us.host}-{us.pid}{_SUFFIX}"
    with suppress(StoreError):  # what the sweep itself can't write, it says
        write_whole(file, json.dumps(vars(us)).encode(), durable=False)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()


def launchers_at_work(outputs: Path | str) -> list[Launcher]:
    """Return the processes of this machine that carry out sweeps of an outputs folder; remove word of dead ones."""
    found = []
    for file in sorted(sweeps_folder(outputs).glob(f"[!.]*{_SUFFIX}")):
        try:
            launcher = Launcher(**json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            continue
        except OSError as error:  # "nothing to cancel" would be a guess
            raise StoreError(f"can't read {file}: {os_reason(error)}") from error
        if launcher.alive:
            found.append(launcher)
        elif launcher.host == socket.gethostname():
            with suppress(OSError):
                file.unlink()
    return found
