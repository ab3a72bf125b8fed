"""Recorded runs become bundles like any other: `import KIND FILE`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from framework.configuration.study_config import StudyConfig
from framework.contracts import ImportedRun, ImportedTable, Importer
from framework.errors import InputError, did_you_mean
from framework.identity.run_key import canonical_hash, new_run_id, utc_now
from framework.plugins import ask
from framework.run.kept_files import kept_files
from framework.run.provenance import provenance
from framework.run_record import RunRecord


def import_file(kind: str, file: Path, outputs: str) -> int:
    """Bring a file's runs into the store; a run that is there already is left alone.

    Raises:
        InputError: unknown kind, unreadable file, or a row that breaks its schema; nothing is written then.
    """
    from framework.report.terminal.progress_bars import progress_over
    from framework.report.terminal.terminal_tables import print_note
    from framework.store.database.ingest import ingest

    importer = _importer(kind)
    if not file.is_file():
        raise InputError(f"file '{file}' does not exist or is not a regular file")
    # the whole file first: a bad row leaves nothing half-imported
    found = list(progress_over(importer.read(file), f"reading {file.name}"))
    singles = [run for run in found if isinstance(run, ImportedRun)]
    tables = [table for table in found if isinstance(table, ImportedTable)]
    added = keep_runs(kind, file.name, outputs, singles) if singles else 0
    total = len(singles) + sum(len(table.origin_ids) for table in tables)
    for table in tables:
        added += _import_table(kind, file, outputs, table)
    ingest(outputs)
    for note in (note for table in tables for note in table.notes):
        print_note(note)
    print_note(f"{added} runs imported from {file}, {total - added} were already in the store")
    return 0


def keep_runs(kind: str, source: str, outputs: str, runs: list[ImportedRun]) -> int:
    """Write a bundle for each run that is new; return how many there are.

    Args:
        kind: of the importer, or of whatever made the runs.
        source: name of what they were made from, for their facts.
        outputs: the outputs folder; `ingest` brings the runs into its database.
        runs: their origin ids show which are already stored.
    """
    from framework.report.terminal.progress_bars import progress_over
    from framework.store.bundles.bundle import write_bundle
    from framework.store.lookup import done_job_keys

    keys = [canonical_hash([kind, run.origin_id]) for run in runs]
    present = done_job_keys(outputs, keys)
    added = 0
    for key, run in progress_over(list(zip(keys, runs, strict=True)), f"importing {source}"):
        if key not in present:
            with tempfile.TemporaryDirectory(prefix="framework-import-") as copies:
                kept = kept_files(run.result.artifacts.items(), Path(copies), StudyConfig.artifacts_mb)
                record = replace(_record(kind, source, key, run), artifact_notes=kept.notes)
                write_bundle(outputs, record, run.result.tables, kept.files)
            present[key] = ""
            added += 1
    return added


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


def _importer(kind: str) -> Importer:
    known: dict[str, Importer] = {
        item.kind: item for _, items in ask("importers", Importer) for item in items
    }
    if kind not in known:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, known)}")
    return known[kind]


def _record(kind: str, source: str, key: str, run: ImportedRun) -> RunRecord:
    checks = list(run.result.checks)
    verdicts = {check.verdict for check in checks}
    return RunRecord(
        run_id=new_run_id(key),
        run_key=key,
        job_key=key,
        experiment=run.experiment,
        backend=run.backend,
        status="done",
        started_at=utc_now(),
        finished_at=utc_now(),
        checks=checks,
        sanity="fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "pass",
        metrics=run.result.metrics,
        config=run.config,
        facts={**run.result.facts, "origin_id": run.origin_id, "origin_file": source, "importer": kind},
        provenance=provenance(),
    )
