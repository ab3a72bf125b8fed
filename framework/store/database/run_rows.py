"""A run record as rows of the database's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from framework.contracts import Json, SanityCheck
from framework.identity.run_key import config_key
from framework.run_record import RunRecord
from framework.store.bundles.bundle_format import ARTIFACTS, Bundle
from framework.store.bundles.heartbeat import RunningRun
from framework.store.bundles.record_json import leaf_number, leaf_text, leaves
from framework.store.database.schema import CORE_TABLES

_SCHEDULER_HOST = ("slurm.node", "host.name", "host")


def utc(text: str | None) -> datetime | None:
    """Return an ISO 8601 time as UTC without a zone, as the database keeps it."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def unix_utc(seconds: float) -> datetime:
    """Return a Unix time as UTC without a zone."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def option_name(config: Mapping[str, Json], group: str) -> str | None:
    """Return what a group's option is called: its name, else the id or the file that it was given by."""
    value = config.get(group)
    if isinstance(value, Mapping):
        given = leaf_text(value.get("name")) or leaf_text(value.get("id"))
        return given or _last_folder(leaf_text(value.get("path")) or "")
    return leaf_text(value) or None


def _last_folder(path: str) -> str | None:
    """Return the last part of a path that is no file: `models/own/config.json` is called `own`."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if len(parts) > 1 and "." in parts[-1]:
        parts.pop()
    return parts[-1] if parts else None


def run_row(record: RunRecord) -> dict[str, Any]:
    """Return the row of table `runs`."""
    failure = record.failure
    return {
        "run_id": record.run_id,
        "run_key": record.run_key,
        "experiment": record.experiment,
        "sweep_id": record.sweep_id,
        "backend": record.backend,
        "status": record.status,
        "started_at": utc(record.started_at),
        "finished_at": utc(record.finished_at),
        "sanity": record.sanity,
        "model": option_name(record.config, "model"),
        "gpu": option_name(record.config, "gpu"),
        "job_key": record.job_key,
        "config_key": config_key({name: leaf_text(value) for name, value in leaves(record.config)}),
        "sweep_index": record.sweep_index,
        "repeat": record.repeat,
        "seed": record.seed,
        "workload_hash": record.workload_hash,
        "code_version": record.code_version,
        "derivation_hash": record.derivation_hash or None,
        "failure_stage": failure.stage if failure else None,
        "failure_kind": failure.kind if failure else None,
        "failure_message": failure.message if failure else None,
        "failure_log": failure.log_tail if failure else None,
        "host": _host(record.provenance),
    }


def _host(provenance: Mapping[str, Json]) -> str | None:
    flat = dict(leaves(provenance))
    return next((leaf_text(flat[name]) for name in _SCHEDULER_HOST if flat.get(name)), None)


def running_row(run: RunningRun) -> dict[str, Any]:
    """Return the row of table `runs` of a run that has no bundle yet."""
    return {
        **run_row(run.record),
        "status": run.status,
        "heartbeat_at": unix_utc(run.heartbeat_s),
        "host": run.host,
        "pid": run.pid,
        "progress": f"{100 * run.fraction:.0f} % {run.doing}".rstrip(),
    }


def as_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as an Arrow table; a key that a row lacks is null."""
    return pa.table({name: [row.get(name) for row in rows] for name in schema.names}, schema=schema)


def checks_table(found: Iterable[tuple[str, Sequence[SanityCheck]]]) -> pa.Table:
    """Return the rows of table `checks` from (run id, checks)."""
    schema = CORE_TABLES["checks"]
    rows = [{"run_id": run_id, **vars(check)} for run_id, checks in found for check in checks]
    return as_table(rows, schema)


def _rows_of(
    records: Iterable[RunRecord], name: str, items: Callable[[RunRecord], Iterable[tuple[Any, ...]]]
) -> pa.Table:
    schema = CORE_TABLES[name]
    rows = [(record.run_id, *item) for record in records for item in items(record)]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(dict(zip(schema.names, map(list, columns), strict=True)), schema=schema)


def _flat(nested: Mapping[str, Json]) -> Iterable[tuple[str, str | None, float | None]]:
    return [(name, leaf_text(value), leaf_number(value)) for name, value in leaves(nested)]


def core_tables(bundles: Sequence[Bundle], location: str, now: datetime) -> dict[str, pa.Table]:
    """Return the rows that a batch of bundles adds to the core's tables; metrics and params come from Parquet."""
    records = [bundle.record for bundle in bundles]
    return {
        "runs": as_table([run_row(record) for record in records], CORE_TABLES["runs"]),
        "checks": checks_table((record.run_id, record.checks) for record in records),
        "provenance": _rows_of(records, "provenance", lambda r: _flat(r.provenance)),
        "facts": _rows_of(records, "facts", lambda r: _flat(r.facts)),
        "varied": _rows_of(records, "varied", lambda r: [(name,) for name in dict.fromkeys(r.varied)]),
        "artifacts": _artifact_rows(bundles),
        "bundles": as_table(
            [
                {
                    "run_id": bundle.record.run_id,
                    "location": location,
                    "bytes": bundle.bytes,
                    "checksum": bundle.checksum,
                    "ingested_at": now,
                }
                for bundle in bundles
            ],
            CORE_TABLES["bundles"],
        ),
    }


def _artifact_rows(bundles: Iterable[Bundle]) -> pa.Table:
    """Return a row for each file that a run keeps, and for each that it left out, which has no size."""
    rows = []
    for bundle in bundles:
        notes = dict(bundle.record.artifact_notes)
        for file in bundle.artifacts:
            note = notes.pop(file.path.removeprefix(f"{ARTIFACTS}/"), None)
            row = {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "note": note}
            rows.append({"run_id": bundle.record.run_id, "name": _artifact_name(file.path), **row})
        for name, note in notes.items():
            path = f"{ARTIFACTS}/{name}"
            row = {"name": _artifact_name(path), "path": path, "note": note}
            rows.append({"run_id": bundle.record.run_id, **row})
    return as_table(rows, CORE_TABLES["artifacts"])


def _artifact_name(path: str) -> str:
    """`artifacts/log/engine-0.log` → `log`."""
    return path.split("/")[1]
