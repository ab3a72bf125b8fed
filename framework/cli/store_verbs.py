"""The store's verbs as plain functions that return an exit status; what can go wrong is a `StoreError`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import ConfigError, StoreError
from framework.plugins import discover
from framework.store.database.reader import Store

if TYPE_CHECKING:
    from framework.contracts import Law


def _warn_of_mixed(store: Store, run_ids: list[str] | None = None) -> None:
    """Say on stderr when the metrics of runs are not defined alike."""
    from framework.store.views.definitions_view import mixed_definitions

    mixed = mixed_definitions(store, run_ids)
    if mixed is not None:
        print(f"warning: {mixed}", file=sys.stderr)


def run_ingest(folder: str | None, rebuild: bool = False, outputs: str | None = None) -> int:
    """Pull new bundles into the database; report what was added, refused and is still running.

    `folder` is an outputs folder, or a URL whose bundles go into the database of `outputs` from now on.

    Raises:
        ConfigError: two folders are named: to bring runs from one into the other is `merge`.
    """
    from framework.report.terminal.progress_bars import progress_bar
    from framework.store.bundles.remote import is_url
    from framework.store.database.ingest import ingest

    remote = folder if folder is not None and is_url(folder) else None
    if folder is not None and remote is None and outputs is not None and Path(outputs) != Path(folder):
        raise ConfigError(
            f"ingest reads one folder; to bring its runs into another: merge {folder} --outputs {outputs}"
        )
    folder, outputs = folder or outputs or "outputs", outputs or "outputs"
    with progress_bar("bundles") as progress:
        report = ingest(outputs if remote else folder, rebuild=rebuild, progress=progress, bundles=remote)
    parts = [f"{report.added} runs added", f"{report.skipped} there already"]
    parts += [f"{report.running} running"] if report.running else []
    parts += [f"{report.stale} stale"] if report.stale else []
    parts += [f"{report.side_files} files of advice, predictions or derivations"] if report.side_files else []
    print(", ".join(parts) + f" ({report.duration_s:.1f} s)")
    for item in report.quarantined:
        print(f"quarantined: {item.reason}", file=sys.stderr)
    for warning in report.warnings:
        if any(str(problem) == warning for problem in discover().problems):
            continue  # the command line names those at its end
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def run_compact(outputs: str) -> int:
    """Pack all whole bundles into few large files, then bring the database up to date."""
    from framework.report.terminal.progress_bars import progress_bar
    from framework.store.bundles.compact import compact
    from framework.store.database.ingest import ingest

    with progress_bar("bundles") as progress:
        report = compact(outputs, progress=progress)
    ingest(outputs)
    print(f"{report.packed} bundles packed into {report.packs} packs, {len(report.left)} left as they are")
    for reason in report.left:
        print(f"left: {reason}", file=sys.stderr)
    return 0


def run_derive(names: list[str], every: bool, outputs: str) -> int:
    """Derive metrics and checks anew from the stored tables of runs that hold an earlier definition.

    Args:
        names: run ids, sweep ids or experiments; all runs of the store if empty.
        every: also runs that hold the present definition already.
    """
    from framework.identity.versions import derivation_hash
    from framework.report.terminal.progress_bars import progress_bar
    from framework.run.derivation import derive_again, refusal_notes
    from framework.store.database.ingest import ingest
    from framework.store.lookup import outdated_runs

    ingest(outputs)
    store = Store(outputs)
    done = "SELECT run_id FROM runs WHERE status = 'done' AND coalesce(code_version, '') <> ''"
    if names:
        found = {
            run_id for name in names for (run_id,) in store.rows("SELECT run_id FROM runs_of(?)", [name])[1]
        }
    else:
        found = {run_id for (run_id,) in store.rows(done)[1]}
    run_ids = sorted(found)
    wanted = run_ids if every else outdated_runs(outputs, run_ids, derivation_hash())
    with progress_bar("runs") as progress:
        again = derive_again(outputs, wanted, progress)
    print(f"{len(again.run_ids)} runs re-derived, {len(run_ids) - len(wanted)} up to date already")
    for note in refusal_notes(again.refused):
        print(note, file=sys.stderr)
    return 1 if again.refused else 0


def run_artifacts(name: str | None, outputs: str, limit: int = 1000) -> int:
    """Print the files that runs keep, the latest run first: size, where the file is, and what is not as it was.

    Args:
        name: a run, a sweep or an experiment; None: all.

    Raises:
        StoreError: no such run, sweep or experiment.
    """
    from framework.store.bundles.artifact_files import artifact_files

    store, run_ids = Store(outputs), None
    if name is not None:
        found = store.query("SELECT run_id FROM runs WHERE ? IN (run_id, sweep_id, experiment)", [name])
        run_ids = found["run_id"].to_pylist()
        if not run_ids:
            raise StoreError(f"no run, sweep or experiment '{name}' in {outputs}")
    files = artifact_files(store, Path(outputs), run_ids, limit)
    for file in files:
        size = "-" if file.bytes is None else f"{file.bytes / 2**20:.2f} MiB"
        where = file.location or f"{file.run_id}/{file.path}"
        print(f"{size:>12}  {where}" + (f"  ({file.note})" if file.note else ""))
    if not files:
        print("no files are kept", file=sys.stderr)
    if len(files) == limit:
        print(f"the first {limit} files; name a run to see its own", file=sys.stderr)
    return 0


def run_compare(a: str, b: str, outputs: str) -> int:
    """Print how two runs, sweeps or experiments differ: in what was set, and in the metrics beyond noise.

    If one of the two is the name of a law (`twin`), the other's runs are shown next to what the law says of them.
    """
    from framework.analysis.prediction.laws import law_named
    from framework.report.comparison import compare_tables
    from framework.report.terminal.terminal_tables import print_table

    store = Store(outputs)
    found = law_named(store, a, b)
    if found is not None:
        return _print_law_of_runs(store, *found)
    tables = compare_tables(store, a, b)
    _, runs = store.rows("SELECT run_id FROM runs_of(?) UNION SELECT run_id FROM runs_of(?)", [a, b])
    _warn_of_mixed(store, [run_id for (run_id,) in runs])
    for table in tables:
        print_table(table)
    if len(tables) == 1:
        print("the two have no point in common")
    return 0


def _print_law_of_runs(store: Store, law: Law, name: str) -> int:
    """Print runs next to what a law says of them; the status is 0 if it says something."""
    from framework.report.terminal.terminal_tables import print_note, print_table

    assert law.of_runs is not None
    rows = 0
    for block in law.of_runs(store, name):
        if isinstance(block, str):
            print_note(block)
        else:
            rows += len(block.rows)
            print_table(block)
    return 0 if rows else 1
