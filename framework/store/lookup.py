"""What is done, failed or running, by key: answers for 10,000 keys at once, bundles not yet ingested included."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.run_record import Failure, RunRecord
from framework.store.bundles.heartbeat import read_running
from framework.store.bundles.remote import is_url
from framework.store.bundles.sources import bundle_sources
from framework.store.database.reader import Store
from framework.store.layout import has_database
from framework.store.side_files.derivations import derivation_path, read_derivation

_RUN_ID = re.compile(
    r"\d{8}T\d{6}-(?P<key>[0-9a-f]{8})-[0-9a-f]{6}"
)  # of `framework.identity.run_key.new_run_id`


@dataclass(frozen=True)
class FinishedRun:
    """A finished run's identity and keys."""

    run_id: str
    run_key: str
    job_key: str | None
    status: str
    started_at: str


def finished_runs(outputs: Path | str) -> Iterator[FinishedRun]:
    """Yield all finished runs: from the database, then from whole bundles that it does not hold yet."""
    known: set[str] = set()
    store = Store(outputs)
    if not is_url(outputs) and has_database(outputs):
        _, rows = store.rows(
            "SELECT run_id, run_key, job_key, status, strftime(started_at, '%Y-%m-%dT%H:%M:%S.%f') FROM runs"
            " WHERE status IN ('done', 'failed')"
        )
        store.close()
        known = {row[0] for row in rows}
        yield from (FinishedRun(*row) for row in rows)
    for source in bundle_sources(outputs):
        for name in source.names():
            if name in known:
                continue
            try:
                record = source.manifest(name).record
            except StoreError:
                continue  # ingest quarantines it and says why
            known.add(name)
            yield FinishedRun(record.run_id, record.run_key, record.job_key, record.status, record.started_at)


def newer_records(outputs: Path | str) -> Iterator[RunRecord]:
    """Yield the records of whole bundles that the database does not hold yet."""
    known: set[str] = set()
    if not is_url(outputs) and has_database(outputs):
        with closing(Store(outputs)) as store:
            known = {run_id for (run_id,) in store.rows("SELECT run_id FROM bundles")[1]}
    for source in bundle_sources(outputs):
        for name in source.names():
            if name not in known:
                with suppress(StoreError):  # ingest quarantines it and says why
                    yield source.manifest(name).record


def _newest_by_job_key(outputs: Path | str, keys: Collection[str], status: str) -> dict[str, str]:
    wanted = frozenset(keys)
    found = [run for run in finished_runs(outputs) if run.status == status and run.job_key in wanted]
    found.sort(key=lambda run: (run.started_at, run.run_id))
    return {run.job_key: run.run_id for run in found if run.job_key is not None}


def done_job_keys(outputs: Path | str, keys: Collection[str]) -> dict[str, str]:
    """Return the newest done run of each job key that has one: job key → run id."""
    return _newest_by_job_key(outputs, keys, "done")


def known_runs(outputs: Path | str) -> set[str]:
    """Return the ids of all runs that are there now, in the database or beside it."""
    known = {name for source in bundle_sources(outputs) for name in source.names()}
    if not is_url(outputs) and has_database(outputs):
        with closing(Store(outputs)) as store:
            known |= {run_id for (run_id,) in store.rows("SELECT run_id FROM runs")[1]}
    return known


def new_failures(
    outputs: Path | str, keys: Collection[str], before: Collection[str]
) -> dict[str, tuple[str, Failure | None]]:
    """Return (run id, why) of a failed run of each job key that has one beside the runs known `before`.

    What is new is told by its id: by its time it would be older than `before` once the clock is set back.
    """
    found: dict[str, tuple[str, Failure | None]] = {}
    if not keys:
        return found
    for record in newer_records(outputs):
        key = record.job_key
        if record.status == "failed" and key and key in keys and record.run_id not in before:
            found[key] = (record.run_id, record.failure)
    if not is_url(outputs) and has_database(outputs):
        with closing(Store(outputs)) as store:
            _, rows = store.rows(
                "SELECT job_key, run_id, failure_stage, failure_kind, failure_message FROM runs "
                "WHERE status = 'failed'"
            )
        for key, run_id, stage, kind, message in rows:
            if key in keys and run_id not in before:
                found.setdefault(key, (run_id, Failure(stage or "", kind or "", message or "")))
    return found


def failed_job_keys(outputs: Path | str, keys: Collection[str]) -> dict[str, str]:
    """Return the newest failed or stale run of each job key that has one and is neither done nor running."""
    wanted = frozenset(keys)
    failed = _newest_by_job_key(outputs, keys, "failed")
    unfinished = [run for run in read_running(outputs) if run.record.job_key in wanted]
    for run in unfinished:
        if run.status == "stale" and run.record.job_key is not None:
            failed.setdefault(run.record.job_key, run.record.run_id)
    settled = {run.record.job_key for run in unfinished if run.status == "running"}
    settled |= set(_newest_by_job_key(outputs, list(failed), "done"))
    return {key: run_id for key, run_id in failed.items() if key not in settled}


def done_run(outputs: Path | str, run_key: str) -> str | None:
    """Return the id of the newest done run with this run key, if there is one.

    Every run asks this before it starts. A bundle that the database does not hold is opened only if its name,
    which `new_run_id` begins with the time and the key's start, leaves the question open.
    """
    found = _done_in_database(outputs, run_key)
    for source in bundle_sources(outputs):
        for name in source.names():
            if not _may_have_key(name, run_key):
                continue
            try:
                record = source.manifest(name).record
            except StoreError:
                continue  # ingest quarantines it and says why
            if record.status == "done" and record.run_key == run_key:
                found.append((record.started_at, record.run_id))
    return max(found)[1] if found else None


def outdated_runs(outputs: Path | str, run_ids: Collection[str], derivation_hash: str) -> list[str]:
    """Return those of the done runs whose metrics and checks were derived by other code than that of the hash.

    A derivation that the database does not hold yet counts; runs that were imported were never derived.
    """
    wanted = set(run_ids)
    found: dict[str, str] = {}
    if not is_url(outputs) and has_database(outputs):
        with closing(Store(outputs)) as store:
            _, columns = store.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'runs'")
            hashed = "coalesce(derivation_hash, '')" if ("derivation_hash",) in columns else "''"
            _, rows = store.rows(
                f"SELECT run_id, {hashed}, coalesce(code_version, '') FROM runs WHERE status = 'done'"
            )
        for run_id, known, code in rows:
            if run_id in wanted:
                found[run_id] = known if code else derivation_hash
    for source in bundle_sources(outputs) if wanted - found.keys() else ():
        for name in wanted.intersection(source.names()) - found.keys():
            with suppress(StoreError):  # ingest quarantines it and says why
                record = source.manifest(name).record
                found[name] = record.derivation_hash if record.code_version else derivation_hash
    behind = [run_id for run_id in run_ids if found.get(run_id, derivation_hash) != derivation_hash]
    return [run_id for run_id in behind if _derived_by(outputs, run_id) != derivation_hash]


def _derived_by(outputs: Path | str, run_id: str) -> str | None:
    path = derivation_path(outputs, run_id)
    try:
        return read_derivation(path).derivation_hash if not is_url(outputs) and path.exists() else None
    except StoreError:  # then it is derived again
        return None


def _done_in_database(outputs: Path | str, run_key: str) -> list[tuple[str, str]]:
    if is_url(outputs) or not has_database(outputs):
        return []
    with closing(Store(outputs)) as store:
        _, rows = store.rows(
            "SELECT strftime(started_at, '%Y-%m-%dT%H:%M:%S.%f'), run_id FROM runs"
            " WHERE status = 'done' AND run_key = ?",
            [run_key],
        )
    return [(str(started_at), str(run_id)) for started_at, run_id in rows]


def _may_have_key(name: str, run_key: str) -> bool:
    named = _RUN_ID.fullmatch(name)
    return named is None or run_key.startswith(named["key"])
