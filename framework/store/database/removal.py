"""Taking runs out of a store: bundles go to `outputs/trash`, rows out of the database, markers of dead runs away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.store.bundles.heartbeat import read_running, remove_marker
from framework.store.database.working_copy import WorkingCopy
from framework.store.database.writer_lock import writer_lock
from framework.store.durable import store_errors
from framework.store.layout import packs_folder, running_folder, runs_folder
from framework.store.views.macros import build_views, plugin_views
from framework.store.views.results_view import quoted


@dataclass(frozen=True)
class Removal:
    """What can be removed, and what can't with the reason."""

    run_ids: tuple[str, ...]
    refused: dict[str, str]


def removable(outputs: Path, run_ids: Sequence[str]) -> Removal:
    """Look where runs are kept: loose bundles and markers of dead runs can go, others can't."""
    running = {run.record.run_id: run.status for run in read_running(outputs)}
    packed = set()
    if any(packs_folder(outputs).glob("[!.]*")):
        from framework.store.bundles.sources import PackedBundles

        packed = set(PackedBundles(outputs).names())
    chosen, refused = [], {}
    for run_id in run_ids:
        if (runs_folder(outputs) / run_id).is_dir() or running.get(run_id) == "stale":
            chosen.append(run_id)
        elif running.get(run_id) == "running":
            refused[run_id] = "it is running"
        elif run_id in packed:
            refused[run_id] = "it is packed; `archive` hides it"
        else:
            refused[run_id] = "its bundle is not in this folder; `archive` hides it"
    return Removal(tuple(chosen), refused)


def remove_runs(outputs: Path, run_ids: Sequence[str]) -> Path:
    """Move the bundles of runs to `trash/` and take their rows out of the database; return that folder.

    Raises `StoreError`: no permission, or another writer. A run that was moved and not yet taken out is taken out by
    the next `ingest --rebuild`.
    """
    trash = outputs / "trash"
    with writer_lock(outputs):
        for run_id in run_ids:
            bundle = runs_folder(outputs) / run_id
            remove_marker(running_folder(outputs) / f"{run_id}.json")
            if bundle.is_dir():
                with store_errors("move", bundle):
                    trash.mkdir(parents=True, exist_ok=True)
                    os.replace(bundle, trash / run_id)
        with WorkingCopy(outputs) as copy:
            tables = copy.connection.execute(
                "SELECT table_name FROM duckdb_columns() WHERE column_name = 'run_id' AND table_name IN "
                "(SELECT table_name FROM duckdb_tables()) AND table_name <> 'results_wide'"
            ).fetchall()
            copy.connection.execute("BEGIN")
            for (table,) in tables:
                copy.connection.execute(
                    f"DELETE FROM {quoted(table)} WHERE run_id IN (SELECT unnest(?::VARCHAR[]))",
                    [list(run_ids)],
                )
            copy.connection.execute("COMMIT")
            build_views(copy.connection, plugin_views())
            copy.publish()
    left = [run_id for run_id in run_ids if (runs_folder(outputs) / run_id).exists()]
    if left:
        raise StoreError(f"{len(left)} bundles could not be moved, e.g. {left[0]}")
    return trash
