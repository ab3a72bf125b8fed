"""Live progress when jobs run in other processes: outcomes are read from the bundles as they land."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework.errors import UserError
from framework.run_record import RunOutcome
from framework.store.layout import runs_folder
from framework.sweep.session import SweepSession

POLL_S = 1.0
_POLLS_BETWEEN_MARKERS = 5  # a run writes its marker that often too
_MOST_MARKERS = 8


@contextmanager
def watching_bundles(session: SweepSession) -> Iterator[None]:
    """Add the outcomes of this sweep's bundles to the session while the body runs.

    A job that ran in this process is added by Hydra's callback at once; here are those of other processes.
    """
    stop = threading.Event()

    def body() -> None:
        polls = 0
        while not stop.wait(POLL_S):
            add_landed(session)
            polls += 1
            if polls % _POLLS_BETWEEN_MARKERS == 0:
                _show_running(session)

    thread = threading.Thread(target=body, name="sweep watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _show_running(session: SweepSession) -> None:
    """Show how far the latest few runs are that other processes carry out, as their markers say."""
    from framework.store.bundles.heartbeat import newest_markers

    for run in newest_markers(session.outputs_dir, _MOST_MARKERS):
        record = run.record
        point = session.points.get((record.sweep_index or 0, record.repeat))
        ours = record.sweep_id == session.sweep_id and run.status == "running" and run.pid != os.getpid()
        if ours and point is not None and point.key not in session.outcomes:
            session.on_progress(point, run.fraction, run.doing)


def bundle_names(outputs: Path | str) -> list[str]:
    """Return the names of the bundles in a folder of outputs."""
    runs = runs_folder(outputs)
    return [entry.name for entry in runs.iterdir()] if runs.is_dir() else []


def add_landed(session: SweepSession) -> None:
    """Add the outcomes of this sweep's bundles that have landed since the last look, or since it was planned."""
    from framework.store.bundles.bundle import read_manifest

    runs = runs_folder(session.outputs_dir)
    for name in bundle_names(session.outputs_dir):
        if name in session.known_bundles or name.startswith("."):
            continue
        session.known_bundles.add(name)
        try:
            record = read_manifest(runs / name).record
        except UserError:
            continue  # ingest will quarantine it and say why
        if record.run_id in session.earlier:
            continue
        if record.sweep_id == session.sweep_id and record.sweep_index is not None:
            metrics = {metric.name: metric.value for metric in record.metrics}
            outcome = RunOutcome(record.run_id, record.status, metrics=metrics, failure=record.failure)
            session.add((record.sweep_index, record.repeat), outcome)
