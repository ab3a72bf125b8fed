"""`status`, `watch`, `show`, `log`: how sweeps and runs are doing, without starting anything."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import StoreError, did_you_mean
from framework.store.database.reader import Store
from framework.store.durable import store_errors
from framework.store.layout import running_folder
from framework.store.sweep_states import SweepState, sweep_states

_COLUMNS = ("sweep", "points", "done", "failed", "running", "open", "last run (UTC)")
_SHOWN_SWEEPS = 20


def run_status(name: str | None, outputs: str) -> int:
    """Print how far sweeps are; of one that is named also what failed and what is being run.

    Raises:
        StoreError: no such sweep or experiment, or no sweep at all.
    """
    _print_states(_chosen(name, outputs), detailed=name is not None)
    return 0


def _chosen(name: str | None, outputs: str) -> list[SweepState]:
    states = sweep_states(Path(outputs))
    if not states:
        raise StoreError(f"no sweeps in {outputs}")
    if name is None:
        return states[-_SHOWN_SWEEPS:]
    chosen = [s for s in states if name in (s.name, s.name.rpartition("-")[0])]
    if not chosen:
        raise StoreError(f"no sweep '{name}' in {outputs}{did_you_mean(name, [s.name for s in states])}")
    return chosen


def _print_states(states: list[SweepState], detailed: bool) -> None:
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import print_table

    rows = [
        (s.name, s.points, *(s.counts[c] for c in ("done", "failed", "running", "open")), s.latest or None)
        for s in states
    ]
    print_table(TableBlock("", _COLUMNS, rows), as_data=True)
    for state in states if detailed else ():
        if state.at_work:
            print_table(TableBlock("running", ("point", "state"), list(state.at_work.items())))
        if state.problems:
            print_table(TableBlock("failed", ("point", "reason"), list(state.problems.items())), max_rows=50)


def run_watch(name: str | None, interval_s: float, outputs: str) -> int:
    """Print how far a sweep is whenever that changes, until nothing of it is open or running.

    Returns:
        0 if all of its points are done, 1 if some failed.
    """
    shown: list[Any] = []
    while True:
        states = _chosen(name, outputs)[-1:] if name is None else _chosen(name, outputs)
        now = [(s.name, s.points, dict(s.counts)) for s in states]
        if now != shown:
            _print_states(states, detailed=False)
            shown = now
        if all(state.ended for state in states):
            return 1 if any(state.counts["failed"] for state in states) else 0
        time.sleep(interval_s)


def find_run(store: Store, name: str) -> str:
    """Return the id of the run that a full id, or its beginning, names. Raises `StoreError` for none or several."""
    _, rows = store.rows(
        "SELECT run_id FROM runs WHERE starts_with(run_id, ?) ORDER BY run_id LIMIT 6", [name]
    )
    ids = [run_id for (run_id,) in rows]
    if name in ids or len(ids) == 1:
        return name if name in ids else str(ids[0])
    if not ids:
        raise StoreError(f"no run '{name}' in {store.outputs}; new bundles are added by: framework ingest")
    raise StoreError(f"several runs begin with '{name}': {', '.join(ids[:5])}")


def run_show(name: str, outputs: str) -> int:
    """Print what the store says of a run: identity, settings, metrics, checks, why it failed, labels, files."""
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import print_table

    store = Store(outputs)
    run_id = find_run(store, name)
    columns, (row,) = store.rows("SELECT * EXCLUDE (failure_log) FROM runs WHERE run_id = ?", [run_id])
    identity = [(column, value) for column, value in zip(columns, row, strict=True) if value is not None]
    print_table(TableBlock(run_id, ("", "value"), identity), as_data=True)
    for title, head, query in (
        (
            "varied",
            ("parameter", "value"),
            "SELECT name, value FROM params SEMI JOIN varied USING (run_id, name)",
        ),
        ("metrics", ("metric", "value", "unit", "reason"), "SELECT name, value, unit, reason FROM metrics"),
        ("checks", ("check", "verdict", "detail"), "SELECT name, verdict, detail FROM checks"),
        ("labels", ("kind", "value", "at"), "SELECT kind, value, labelled_at FROM labels"),
        ("files", ("file", "bytes"), "SELECT path, bytes FROM artifacts"),
    ):
        rows = store.rows(f"{query} WHERE run_id = ?", [run_id])[1]
        if rows:
            print_table(TableBlock(title, head, rows))
    return 0


def run_log(name: str, follow: bool, outputs: str) -> int:
    """Print the logs of a run; of one that is running here, those that it writes now.

    Args:
        follow: go on until the run ends.

    Raises:
        StoreError: no such run, or it keeps no log.
    """
    from framework.store.bundles.heartbeat import read_running

    active = [run for run in read_running(outputs) if run.record.run_id.startswith(name)]
    if active:
        return _live_log(active[0], follow, outputs)
    from framework.store.bundles.artifact_files import artifact_files

    store = Store(outputs)
    run_id = find_run(store, name)
    logs = [f for f in artifact_files(store, Path(outputs), [run_id], 1000) if f.name == "log" and f.location]
    for log in logs:
        print(f"== {log.path}", file=sys.stderr)
        with store_errors("read", str(log.location)):
            text = Path(str(log.location)).read_text(errors="replace")
        sys.stdout.write(text)
    if logs:
        return 0
    ((tail,),) = store.rows("SELECT failure_log FROM runs WHERE run_id = ?", [run_id])[1]
    if not tail:
        raise StoreError(f"run {run_id} keeps no log")
    print(tail)
    return 0


def _live_log(run: Any, follow: bool, outputs: str) -> int:
    """Print what a running run has written to its logs, and with `follow` what it adds."""
    marker = running_folder(outputs) / f"{run.record.run_id}.json"
    scratch = str(json.loads(marker.read_bytes()).get("scratch") or "")
    if not scratch or not Path(scratch).is_dir():
        raise StoreError(f"run {run.record.run_id} runs on {run.host}; its logs are there until it ends")
    printed: dict[Path, int] = {}
    while True:
        for log in sorted(Path(scratch).rglob("*.log")):
            with suppress(FileNotFoundError), log.open(errors="replace") as file:
                file.seek(printed.get(log, 0))
                if text := file.read():
                    print(f"== {log.name}", file=sys.stderr) if log not in printed else None
                    sys.stdout.write(text)
                    sys.stdout.flush()
                printed[log] = file.tell()
        if not follow or not marker.exists():
            return 0
        time.sleep(0.5)
