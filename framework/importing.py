"""Recorded runs become bundles like any other: `import KIND FILE`."""

from __future__ import annotations

from pathlib import Path

from framework.contracts import ImportedRun, Importer
from framework.errors import InputError, did_you_mean
from framework.plugins import plugin_manager
from framework.provenance import provenance
from framework.run_key import canonical_hash, new_run_id, utc_now
from framework.run_record import RunRecord


def import_file(kind: str, file: Path, outputs: str) -> int:
    """Bring a file's runs into the store; a run that is there already is left alone.

    Raises:
        InputError: unknown kind, unreadable file, or a row that breaks its schema; nothing is written then.
    """
    from framework.report.terminal import print_note, progress_over
    from framework.store.bundle import write_bundle
    from framework.store.ingest import ingest
    from framework.store.lookup import done_job_keys

    importer = _importer(kind)
    if not file.is_file():
        raise InputError(f"file '{file}' does not exist or is no regular file")
    runs = list(importer.read(file))  # the whole file first: a bad row leaves nothing half-imported
    keys = [canonical_hash([kind, run.origin_id]) for run in runs]
    present = done_job_keys(outputs, keys)
    added = 0
    for key, run in progress_over(list(zip(keys, runs, strict=True)), f"importing {file.name}"):
        if key not in present:
            write_bundle(outputs, _record(kind, file, key, run), run.result.tables)
            present[key] = ""
            added += 1
    ingest(outputs)
    print_note(f"{added} runs imported from {file}, {len(runs) - added} were in the store already")
    return 0


def _importer(kind: str) -> Importer:
    known = {item.kind: item for items in plugin_manager().hook.importers() for item in items}
    if kind not in known:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, known)}")
    return known[kind]


def _record(kind: str, file: Path, key: str, run: ImportedRun) -> RunRecord:
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
        facts={**run.result.facts, "origin_id": run.origin_id, "origin_file": file.name, "importer": kind},
        provenance=provenance(),
    )
