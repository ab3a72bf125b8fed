"""`tag`, `note`, `rename`, `archive`, `delete`, `merge`: what is done to runs after they have run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from framework.analysis.number_format import count_noun
from framework.configuration.study_config import check_study_name
from framework.errors import ConfigError, StoreError
from framework.store.database.reader import Store

_SHOWN = 20


def chosen_runs(outputs: str, names: Sequence[str], where: str | None) -> list[str]:
    """Return the runs that are named or match, after new bundles were added to the database.

    Args:
        names: run ids, sweep ids or experiments.
        where: SQL condition on table `runs`.

    Raises:
        ConfigError: neither is given.
        StoreError: a name without runs, a condition that SQL refuses or no run meets.
    """
    from framework.store.database.ingest import ingest

    if where is not None and not where.strip():
        raise ConfigError("--where: a condition on the table runs, got an empty text")
    if not names and where is None:
        raise ConfigError("name runs, sweeps or experiments, or give --where CONDITION")
    ingest(outputs)
    store = Store(outputs)
    condition = "" if where is None else f" AND ({where})"
    if not names:
        found = [
            run_id for (run_id,) in store.rows(f"SELECT run_id FROM runs WHERE true{condition} ORDER BY 1")[1]
        ]
    else:
        found = []
        for name in names:
            query = f"SELECT run_id FROM runs WHERE ? IN (run_id, sweep_id, experiment){condition} ORDER BY run_id"
            mine = [run_id for (run_id,) in store.rows(query, [name])[1]]
            if (
                not mine
                and not store.rows("SELECT 1 FROM runs WHERE ? IN (run_id, sweep_id, experiment)", [name])[1]
            ):
                raise StoreError(f"no run, sweep or experiment '{name}' in {outputs}")
            found += mine
    if not found:
        raise StoreError(f"no run matches --where {where}")
    return list(dict.fromkeys(found))


def run_label(outputs: str, run_ids: Sequence[str], kind: str, value: str, done: str) -> int:
    """Keep what is said of runs, bring it into the database, and say of how many."""
    from framework.store.database.ingest import ingest
    from framework.store.side_files.labels import KINDS, write_labels

    assert kind in KINDS
    write_labels(outputs, run_ids, kind, value)
    ingest(outputs)
    print(f"{count_noun(len(run_ids), 'run')} {done}")
    return 0


def run_tag(tag: str, names: Sequence[str], where: str | None, remove: bool, outputs: str) -> int:
    """Give runs a tag, or take it from them."""
    if not tag.strip() or len(tag) > 80 or not tag.isprintable():
        raise ConfigError(f"tag {tag!r}: up to 80 printable characters")
    runs = chosen_runs(outputs, names, where)
    if not remove:
        return run_label(outputs, runs, "tag", tag, f"tagged '{tag}'")
    tagged = _those_in(outputs, runs, "SELECT run_id FROM tags WHERE tag = ?", [tag], f"has the tag '{tag}'")
    return run_label(outputs, tagged, "untag", tag, f"without tag '{tag}'")


def run_note(text: str, names: Sequence[str], where: str | None, outputs: str) -> int:
    """Attach a note to runs."""
    if not text.strip():
        raise ConfigError("note: an empty text")
    return run_label(outputs, chosen_runs(outputs, names, where), "note", text, "noted")


def _those_in(
    outputs: str, runs: Sequence[str], query: str, parameters: Sequence[str], what: str
) -> list[str]:
    """Return those of the runs that a query selects; raises `StoreError` if it selects none of them."""
    selected = {run_id for (run_id,) in Store(outputs).rows(query, parameters)[1]}
    found = [run_id for run_id in runs if run_id in selected]
    if not found:
        raise StoreError(f"none of {count_noun(len(runs), 'run')} {what}")
    return found


def run_rename(name: str, names: Sequence[str], where: str | None, outputs: str) -> int:
    """List runs under another experiment's name; their keys, and so what counts as done, stay as they are."""
    check_study_name(name)
    runs = chosen_runs(outputs, names, where)
    return run_label(outputs, runs, "experiment", name, f"listed under '{name}' from now on")


def run_archive(names: Sequence[str], where: str | None, undo: bool, dry_run: bool, outputs: str) -> int:
    """Hide runs from `results`, `latest` and `failures`, or show them again; nothing is deleted."""
    runs = chosen_runs(outputs, names, where)
    if undo:
        runs = _those_in(outputs, runs, "SELECT run_id FROM archived", [], "is archived")
    if dry_run:
        return _listed(runs, "would be archived" if not undo else "would be shown again")
    done = "shown again" if undo else "archived: hidden from results, latest and failures"
    return run_label(outputs, runs, "archived", "false" if undo else "true", done)


def run_delete(names: Sequence[str], where: str | None, dry_run: bool, yes: bool, outputs: str) -> int:
    """Move runs to the trash of the outputs folder and take them out of the database.

    Returns:
        0; 1 if some of the runs could not be removed.

    Raises:
        ConfigError: nobody has agreed: neither `--yes` nor an answer on a terminal.
    """
    from framework.store.database.removal import removable, remove_runs

    removal = removable(Path(outputs), chosen_runs(outputs, names, where))
    for run_id, reason in list(removal.refused.items())[:_SHOWN]:
        print(f"{run_id} stays: {reason}", file=sys.stderr)
    if dry_run:
        return _listed(removal.run_ids, "would be deleted")
    if removal.run_ids and not yes:
        if not sys.stdin.isatty():
            raise ConfigError("delete: add --yes to delete, or --dry-run to see what would be deleted")
        _listed(removal.run_ids, "will be deleted")
        if input(f"delete {count_noun(len(removal.run_ids), 'run')}? [y/N] ").strip().lower() not in (
            "y",
            "yes",
        ):
            print("nothing is deleted")
            return 1
    if removal.run_ids:
        trash = remove_runs(Path(outputs), removal.run_ids)
        print(
            f"{count_noun(len(removal.run_ids), 'run')} deleted; a bundle moved back from {trash} counts again"
        )
    return 1 if removal.refused else 0


def _listed(run_ids: Sequence[str], what: str) -> int:
    for run_id in run_ids[:_SHOWN]:
        print(run_id)
    if len(run_ids) > _SHOWN:
        print(f"… {len(run_ids) - _SHOWN} more")
    print(f"{count_noun(len(run_ids), 'run')} {what}")
    return 0


def run_merge(source: Path, outputs: str) -> int:
    """Bring the runs of another outputs folder into this one; runs that are there already stay as they are."""
    from framework.report.terminal.progress_bars import progress_bar
    from framework.store.bundles.merging import merge_outputs
    from framework.store.database.ingest import ingest

    with progress_bar("bundles") as progress:
        merged = merge_outputs(source, Path(outputs), progress)
        report = ingest(outputs, progress=progress)
    print(f"{report.added} runs added, {merged.there} bundles there already, {merged.side_files} other files")
    for item in report.quarantined:
        print(f"quarantined: {item.reason}", file=sys.stderr)
    return 1 if report.quarantined else 0
