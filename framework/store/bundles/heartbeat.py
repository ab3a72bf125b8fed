"""Runs that are still going: one marker file each, touched while the process lives.

`outputs/running/<run_id>.json` contains the run's record, host, process and period. Its modification time is the
heartbeat, so a beat costs one system call; only when the run has reported how far it is, the marker is written
again. A run is *stale* when its process is gone (same host), when it gave up without leaving a bundle, or when the
heartbeat is older than `STALE_AFTER_BEATS` periods.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from framework.errors import StoreError
from framework.run_record import RunRecord
from framework.store import durable
from framework.store.bundles.bundle_format import check_run_id
from framework.store.bundles.record_json import record_from_json, record_to_json
from framework.store.bundles.remote import is_url
from framework.store.layout import running_folder, runs_folder

PERIOD_S = 5.0
STALE_AFTER_BEATS = (
    12  # a minute at the default period: NFS attribute caches keep a time stamp for up to 60 s
)


@dataclass(frozen=True)
class RunningRun:
    """A marker as it was read.

    Attributes:
        record: the run; its status is `running` or `stale`.
        host, pid: the process that runs it.
        heartbeat_s: Unix time of the last sign of life.
        fraction, doing: how far it was then (0–1), and what it was doing.
    """

    record: RunRecord
    host: str
    pid: int
    heartbeat_s: float
    fraction: float = 0.0
    doing: str = ""

    @property
    def status(self) -> Literal["running", "stale"]:
        """`running` or `stale`."""
        return "stale" if self.record.status == "stale" else "running"


class Heartbeat:
    """Marks a run as running from `start` to `stop`; use it as a context manager around the run.

    Leaving it removes the marker when the run's bundle is there; otherwise the marker stays and says that the
    run gave up, so that it is listed as stale instead of vanishing.
    """

    def __init__(
        self, outputs: Path | str, record: RunRecord, period_s: float = PERIOD_S, scratch: Path | None = None
    ) -> None:
        """Prepare the marker; `scratch` is where the run writes its logs while it runs."""
        check_run_id(record.run_id)
        self.path = running_folder(outputs) / f"{record.run_id}.json"
        self.record = replace(record, status="running")
        self.period_s = period_s
        self.scratch = scratch
        self._remote = is_url(outputs)  # an object store has no time stamps to touch: no marker there
        self._bundle = runs_folder(outputs) / record.run_id
        self._stop = threading.Event()
        self._progress = self._written = (0.0, "")
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{record.run_id}", daemon=True)

    def start(self) -> None:
        """Write the marker and begin to touch it. Raises `StoreError` when it can't be written."""
        if self._remote:
            return
        self._write(ended=False)
        self._thread.start()

    def stop(self) -> None:
        """End the heartbeat; safe to call twice."""
        self._stop.set()
        if self._remote:
            return
        if self._thread.is_alive():
            self._thread.join()
        if self._bundle.exists():
            remove_marker(self.path)
        elif self.path.exists():
            with contextlib.suppress(StoreError):  # a full disk: the marker goes stale by its age instead
                self._write(ended=True)

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def progress(self, fraction: float, text: str) -> None:
        """Note how far the run is; the next beat writes it. Costs nothing, so it may be called at any rate."""
        self._progress = (fraction, text)

    def _write(self, ended: bool) -> None:
        self._written = self._progress
        document = {
            "record": record_to_json(self.record),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "period_s": self.period_s,
            "ended": ended,
            "progress": self._written,
            "scratch": None if self.scratch is None else str(self.scratch),
        }
        durable.write_whole(self.path, json.dumps(document).encode("utf-8"), durable=False)

    def _beat(self) -> None:
        while not self._stop.wait(self.period_s):
            with contextlib.suppress(OSError, StoreError):  # a full disk: the next beat may be written
                if self._progress != self._written:
                    self._write(ended=False)
                else:
                    os.utime(self.path)


def remove_marker(path: Path) -> None:
    """Remove a marker; one that is gone already, or can't be removed, is not an error."""
    with contextlib.suppress(OSError):
        path.unlink()


def read_marker(path: Path, now_s: float | None = None) -> RunningRun | None:
    """Return a marker's run with its status, or None when it is gone or not a marker."""
    now_s = time.time() if now_s is None else now_s
    try:
        heartbeat_s = path.stat().st_mtime
        document = json.loads(path.read_bytes())
        record = record_from_json(document["record"], str(path))
        host, pid, period_s = str(document["host"]), int(document["pid"]), float(document["period_s"])
        ended = bool(document.get("ended"))
        fraction, doing = document.get("progress", (0.0, ""))
    except (FileNotFoundError, ValueError, KeyError, TypeError, StoreError):  # gone, or not a marker
        return None
    except OSError as error:  # "nothing is running" would be a guess
        raise StoreError(f"can't read {path}: {durable.os_reason(error)}") from error
    gone = host == socket.gethostname() and not durable.process_alive(pid)
    stale = ended or gone or now_s - heartbeat_s > STALE_AFTER_BEATS * period_s
    record = replace(record, status="stale" if stale else "running")
    return RunningRun(record, host, pid, heartbeat_s, float(fraction), str(doing))


def read_running(outputs: Path | str, now_s: float | None = None) -> list[RunningRun]:
    """Return all runs that have a marker and no bundle, oldest first."""
    return _unfinished(outputs, _marker_names(outputs), now_s)


def newest_markers(outputs: Path | str, count: int) -> list[RunningRun]:
    """Return the `count` runs that began last, of those that have a marker and no bundle; oldest first."""
    return _unfinished(outputs, _marker_names(outputs)[-count:], None)


def _marker_names(outputs: Path | str) -> list[str]:
    try:
        names = os.listdir(running_folder(outputs))
    except FileNotFoundError:
        return []
    except OSError as error:  # "nothing is running" would be a guess
        raise StoreError(f"can't read {running_folder(outputs)}: {durable.os_reason(error)}") from error
    return sorted(name for name in names if name.endswith(".json") and name[0] != ".")


def _unfinished(outputs: Path | str, names: Sequence[str], now_s: float | None) -> list[RunningRun]:
    runs = [read_marker(running_folder(outputs) / name, now_s) for name in names]
    finished = runs_folder(outputs)
    return [run for run in runs if run and not (finished / run.record.run_id).exists()]
