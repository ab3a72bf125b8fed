"""Recordings that were imported while they were still being written: the complete one takes the place of the others.

An importer says what all stages of a recording share from its first moment on (`ImportedRun.begin`), and how far
this one goes. Of several stages one run is in the store, in whatever order their files are imported: the complete
one, else the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framework.contracts import ImportedRun, Json

_BEGIN, _EXTENT, _DETAIL = "recording_begin", "recording_extent", "recording_detail"


@dataclass(frozen=True)
class Stages:
    """What the store has of the recordings that are imported.

    Attributes:
        passed: begins of recordings of which a later stage is there already.
        replaced: ids of the runs of earlier stages, by begin.
    """

    passed: frozenset[str] = frozenset()
    replaced: dict[str, list[str]] = field(default_factory=dict)


def stage_facts(run: ImportedRun) -> dict[str, Json]:
    """Return the facts by which a later import finds this run."""
    return {_BEGIN: run.begin, _EXTENT: run.extent, _DETAIL: run.detail} if run.begin else {}


def earlier_stages(outputs: str, kind: str, runs: Sequence[ImportedRun]) -> Stages:
    """Look up the other stages and views of recordings. Two complete ones without `detail` are two runs."""
    from framework.store.database.ingest import ingest
    from framework.store.database.reader import Store
    from framework.store.layout import has_database

    asked = {run.begin: run for run in runs if run.begin}
    if not asked:
        return Stages()
    if not Path(outputs).is_dir():
        return Stages()
    ingest(outputs)
    if not has_database(outputs):
        return Stages()
    _, rows = Store(outputs).rows(
        "SELECT r.run_id, r.status = 'done', b.value, e.number, d.number FROM runs r "
        "JOIN facts b ON b.run_id = r.run_id AND b.name = ? "
        "JOIN facts i ON i.run_id = r.run_id AND i.name = 'importer' AND i.value = ? "
        "LEFT JOIN facts e ON e.run_id = r.run_id AND e.name = ? "
        "LEFT JOIN facts d ON d.run_id = r.run_id AND d.name = ? WHERE list_contains(?, b.value)",
        [_BEGIN, kind, _EXTENT, _DETAIL, list(asked)],
    )
    passed, replaced = set(), dict[str, list[str]]()
    for run_id, done, begin, extent, detail in rows:
        new = asked[begin]
        if done and new.complete:
            older_is_less = bool(detail) and new.detail > detail
            newer_is_no_more = bool(new.detail) and not older_is_less
        else:
            older_is_less = not done and (new.complete or new.extent > (extent or 0))
            newer_is_no_more = not older_is_less
        if older_is_less:
            replaced.setdefault(begin, []).append(run_id)
        elif newer_is_no_more:
            passed.add(begin)
    return Stages(frozenset(passed), replaced)


def replace_stages(outputs: str, run_ids: Sequence[str]) -> None:
    """Move the runs of earlier stages to the trash of the outputs folder, and say so."""
    from framework.report.terminal.terminal_tables import print_note
    from framework.store.database.removal import removable, remove_runs

    removal = removable(Path(outputs), run_ids)
    if removal.run_ids:
        remove_runs(Path(outputs), removal.run_ids)
        number = len(removal.run_ids)
        print_note(f"{number} less complete recording{'s' if number > 1 else ''} of the same run replaced")
