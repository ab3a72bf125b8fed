"""Recorded runs become bundles like any other: `import [KIND] FILE`."""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from framework.configuration.study_config import StudyConfig
from framework.contracts import ImportedRun, ImportedTable, Importer, Json
from framework.errors import ConfigError, InputError
from framework.identity.run_key import canonical_hash, new_run_id, utc_now
from framework.run.derivation import worst
from framework.run.growing_recordings import earlier_stages, replace_stages, stage_facts
from framework.run.kept_files import kept_files
from framework.run.provenance import provenance
from framework.run.recognition import (
    FOLDER_INDEX,
    importer_of,
    importers,
    is_folder_of_recordings,
    recognised,
    recordings_below,
)
from framework.run_record import Failure, RunRecord

_INCOMPLETE = "the file breaks off, or was still being written: what it says is not the whole run"


def import_files(words: Sequence[str], outputs: str) -> int:
    """Carry out `import [KIND] FILE … [KEY=VALUE …]`; return the exit status.

    Args:
        words: the kind of file, if it is named, files, and settings that the files don't say.
        outputs: the outputs folder.

    Raises:
        ConfigError: no file is named, or a setting is none.
        InputError: the only file can't be imported. Of several files the good ones are imported, the others told.
    """
    kind = words[0] if len(words) > 1 and words[0] in importers() and not Path(words[0]).exists() else None
    files: list[Path] = []
    settings: dict[str, Json] = {}
    for word in words[1:] if kind else words:
        if "=" in word and not Path(word).exists():
            settings |= stated_setting(word)
        else:
            files.append(Path(word))
    if not files:
        known = ", ".join(sorted(importers()))
        raise ConfigError(f"import: no file is named (kinds of file: {known})")
    if len(files) == 1 and not (kind is None and is_folder_of_recordings(files[0])):
        return import_file(kind, files[0], outputs, settings)
    failed = 0
    for file in files:
        if kind is None and is_folder_of_recordings(file):
            failed += import_folder(file, outputs, settings)
            continue
        try:
            import_file(kind, file, outputs, settings)
        except InputError as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
    return 1 if failed else 0


def import_folder(folder: Path, outputs: str, settings: Mapping[str, Json] | None = None) -> int:
    """Import every file below a folder by its content, print what each was, and return how many could not be read.

    A file that is no recording is listed and does not count as unreadable, unless there is nothing else.
    """
    from framework.contracts import TableBlock
    from framework.report.terminal.terminal_tables import print_table

    rows: list[tuple[str, str, int | None, int | None, str]] = []
    for path in recordings_below(folder):
        name = str(path.relative_to(folder))
        try:
            importer, _ = recognised(path)
        except InputError as error:
            rows.append(
                (name, "", None, None, str(error).removeprefix(f"{path}: ").partition(": no known")[0])
            )
            continue
        try:
            added, total = _imported(importer, path, outputs, settings)
            rows.append((name, importer.kind, added, total - added, ""))
        except InputError as error:
            rows.append((name, importer.kind, None, None, str(error).removeprefix(f"{path}: ")))
    columns = ("file", "kind", "imported", "there_already", "trouble")
    print_table(TableBlock(f"{folder}: {len(rows)} files", columns, rows))
    unreadable = sum(bool(kind) and added is None for _, kind, added, *_ in rows)
    if not any(added is not None for _, _, added, *_ in rows):
        print(f"error: {folder}: contains no file that could be imported", file=sys.stderr)
        return max(1, unreadable)
    return unreadable


def import_file(
    kind: str | None, file: Path, outputs: str, settings: Mapping[str, Json] | None = None
) -> int:
    """Bring a file's runs into the store; a run that is there already is left alone.

    Args:
        kind: of the file; None: found out from its content, and told.
        file: the file to read, or a folder with an index of files (`FOLDER_INDEX`).
        outputs: the outputs folder.
        settings: what the file does not say of its runs, by dotted name; stands above what it says.

    Raises:
        InputError: unknown kind, unreadable file, or a row that breaks its schema; nothing is written then.
    """
    from framework.report.terminal.terminal_tables import print_note

    if kind is None and (file / FOLDER_INDEX).is_file():
        return _import_folder(file, outputs, settings)
    if kind is None:
        importer, words = recognised(file)
        print_note(f"{file}: {words}")
    else:
        importer = importer_of(kind)
        if not (file.is_file() or (file.is_dir() and importer.folders)):
            reason = "is a folder" if file.is_dir() else "does not exist or is not a regular file"
            raise InputError(f"file '{file}' {reason}")
    added, total = _imported(importer, file, outputs, settings)
    print_note(f"{added} runs imported from {file}, {total - added} were already in the store")
    return 0


def _imported(
    importer: Importer, file: Path, outputs: str, settings: Mapping[str, Json] | None
) -> tuple[int, int]:
    """Bring a file's runs into the store; return how many were new, and how many there are."""
    from framework.report.terminal.progress_bars import progress_over
    from framework.report.terminal.terminal_tables import print_note
    from framework.store.database.ingest import ingest

    kind = importer.kind
    settings = dict(settings or {})
    # a word without a dot was read as a group's name
    options = {name: settings.pop(f"{name}.name") for name in importer.options if f"{name}.name" in settings}
    # the whole file first: a bad row leaves nothing half-imported
    found = list(progress_over(importer.read(file, **options), f"reading {file.name}"))
    singles = [_with_settings(run, settings or {}) for run in found if isinstance(run, ImportedRun)]
    tables = [table for table in found if isinstance(table, ImportedTable)]
    if settings and tables:
        raise InputError(f"{file}: settings can't be added to a table of runs; give them columns")
    added = keep_runs(kind, file.name, outputs, singles) if singles else 0
    total = len(singles) + sum(len(table.origin_ids) for table in tables)
    for table in tables:
        added += _import_table(kind, file, outputs, table)
    ingest(outputs)
    for note in dict.fromkeys(note for item in found for note in item.notes):
        print_note(note)
    _print_verdicts(singles)
    return added, total


def _import_folder(folder: Path, outputs: str, settings: Mapping[str, Json] | None) -> int:
    """Import every file that the index of a folder names; the first that can't be read stops it."""
    path = folder / FOLDER_INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        files, common = dict(index["files"]), dict(index.get("settings") or {})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not an index of a folder ({type(error).__name__}: {error})") from None
    for name, kind in files.items():
        if Path(name).name != name or not (folder / name).is_file():
            raise InputError(f"{path}: names '{name}', which is not a file of this folder")
        import_file(str(kind), folder / name, outputs, {**common, **(settings or {})})
    return 0


def stated_setting(word: str) -> dict[str, Json]:
    """Return `key=value` as a dotted name and a value; a bare `group=NAME` names an option of a configuration group.

    Raises:
        ConfigError: no key.
    """
    key, _, text = word.partition("=")
    if not key.strip("."):
        raise ConfigError(f"'{word}' is not a setting: KEY=VALUE is expected")
    if "." in key:
        return {key: yaml.safe_load(text) if text else None}
    from framework.configuration.group_options import group_option

    try:
        name = group_option(key, text).get("name", text)
    except ConfigError:  # a name of the user's own
        name = text
    return {f"{key}.name": name}


def _with_settings(run: ImportedRun, settings: Mapping[str, Json]) -> ImportedRun:
    if not settings:
        return run
    config = copy.deepcopy(dict(run.config))
    for dotted, value in settings.items():
        *groups, last = dotted.split(".")
        place = config
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(f"'{dotted}': '{group}' is a value, not a group")
        place[last] = value
    return replace(run, config=config)


def _print_verdicts(runs: Sequence[ImportedRun]) -> None:
    """Say which runs did not pass their checks, and how many had none."""
    from framework.report.terminal.terminal_tables import print_note

    for run in runs:
        for check in run.result.checks:
            if check.verdict != "pass":
                print_note(f"{run.origin_id}: {check.name} {check.verdict}: {check.detail}")
    unchecked = sum(not run.result.checks for run in runs)
    if unchecked:
        print_note(f"{unchecked} runs have nothing that could be checked")


def keep_runs(kind: str, source: str, outputs: str, runs: list[ImportedRun]) -> int:
    """Write a bundle for each run that is new; return how many there are.

    Args:
        kind: of the importer, or of whatever made the runs.
        source: name of what they were made from, for their facts.
        outputs: the outputs folder; `ingest` brings the runs into its database.
        runs: their origin ids and contents show which are already stored.
    """
    from framework.report.terminal.progress_bars import progress_over
    from framework.store.bundles.bundle import write_bundle
    from framework.store.lookup import done_job_keys, failed_job_keys

    keys = [_run_key(kind, run) for run in runs]
    present = done_job_keys(outputs, keys)
    stages = earlier_stages(outputs, kind, runs)
    present |= {key: "" for key, run in zip(keys, runs, strict=True) if run.begin in stages.passed}
    if not all(run.complete for run in runs):
        present |= failed_job_keys(outputs, keys)
    added = 0
    for key, run in progress_over(list(zip(keys, runs, strict=True)), f"importing {source}"):
        if key not in present:
            with tempfile.TemporaryDirectory(prefix="framework-import-") as copies:
                kept = kept_files(run.result.artifacts.items(), Path(copies), StudyConfig.artifacts_mb)
                record = replace(_record(kind, source, key, run), artifact_notes=kept.notes)
                write_bundle(outputs, record, run.result.tables, kept.files)
            present[key] = ""
            added += 1
    replace_stages(outputs, [run_id for run in runs for run_id in stages.replaced.get(run.begin, ())])
    return added


def _run_key(kind: str, run: ImportedRun) -> str:
    """Return what makes a recorded run itself: not its name alone, which another file's run may bear too."""
    return canonical_hash([kind, run.origin_id, run.content] if run.content else [kind, run.origin_id])


def _import_table(kind: str, file: Path, outputs: str, table: ImportedTable) -> int:
    """Write the runs that are new as one recording; return how many there are."""
    import pyarrow as pa

    from framework.store.lookup import done_job_keys
    from framework.store.side_files.recordings import Recording, write_recording

    keys = [canonical_hash([kind, origin]) for origin in table.origin_ids]
    present = done_job_keys(outputs, keys)
    rows = [row for row, key in enumerate(keys) if key not in present]
    if not rows:
        return 0
    new = pa.array(rows)
    facts = {"origin_id": pa.array(list(table.origin_ids)), **table.facts}
    facts["origin_file"] = pa.repeat(pa.scalar(file.name), len(keys))
    facts["importer"] = pa.repeat(pa.scalar(kind), len(keys))
    # run ids follow from the keys, so that two imports of one file at once still count each run once
    recording = Recording(
        run_ids=[f"{kind}-{keys[row]}" for row in rows],
        run_keys=[keys[row] for row in rows],
        experiment=table.experiment,
        backend=table.backend,
        imported_at=utc_now(),
        params={name: values.take(new) for name, values in table.params.items()},
        metrics={name: values.take(new) for name, values in table.metrics.items()},
        facts={name: values.take(new) for name, values in facts.items()},
        units=table.units,
        source=kind,
    )
    write_recording(outputs, f"{kind}-{canonical_hash(recording.run_keys)}", recording)
    return len(rows)


def _record(kind: str, source: str, key: str, run: ImportedRun) -> RunRecord:
    checks = list(run.result.checks)
    return RunRecord(
        run_id=new_run_id(key),
        run_key=key,
        job_key=key,
        experiment=run.experiment,
        backend=run.backend,
        status="done" if run.complete else "failed",
        failure=None if run.complete else Failure("import", "IncompleteFileError", _INCOMPLETE),
        started_at=utc_now(),
        finished_at=utc_now(),
        checks=checks,
        sanity=worst(checks) if checks else None,
        metrics=run.result.metrics,
        config=run.config,
        facts={
            **run.result.facts,
            **stage_facts(run),
            "origin_id": run.origin_id,
            "origin_file": source,
            "importer": kind,
        },
        provenance=provenance(),
    )
