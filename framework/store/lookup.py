"""What is done, failed or running, by key: answers for 10,000 keys at once, bundles not yet ingested included."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.store.database import Store
from framework.store.heartbeat import read_running
from framework.store.layout import has_database
from framework.store.remote import is_url
from framework.store.sources import bundle_sources


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


def _newest_by_job_key(outputs: Path | str, keys: Collection[str], status: str) -> dict[str, str]:
    wanted = frozenset(keys)
    found = [run for run in finished_runs(outputs) if run.status == status and run.job_key in wanted]
    found.sort(key=lambda run: (run.started_at, run.run_id))
    return {run.job_key: run.run_id for run in found if run.job_key is not None}


def done_job_keys(outputs: Path | str, keys: Collection[str]) -> dict[str, str]:
    """Return the newest done run of each job key that has one: job key → run id."""
    return _newest_by_job_key(outputs, keys, "done")


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


def running_job_keys(outputs: Path | str, keys: Collection[str]) -> dict[str, str]:
    """Return the job keys that a live process is running now: job key → run id."""
    wanted = frozenset(keys)
    return {
        run.record.job_key: run.record.run_id
        for run in read_running(outputs)
        if run.status == "running" and run.record.job_key is not None and run.record.job_key in wanted
    }


def done_run(outputs: Path | str, run_key: str) -> str | None:
    """Return the id of the newest done run with this run key, if there is one."""
    found = [run for run in finished_runs(outputs) if run.status == "done" and run.run_key == run_key]
    return max(found, key=lambda run: (run.started_at, run.run_id)).run_id if found else None
