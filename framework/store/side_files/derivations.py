"""Metrics and checks that were derived again, one file a run; they stand in place of those in its bundle.

outputs/derivations/<run_id>.json   all metrics and checks of the run, and the hash of the code that derived them
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Json, Metric, SanityCheck, Verdict
from framework.errors import StoreError
from framework.store import durable
from framework.store.bundles.record_json import checksum, finite_metric, part_from_json, plain

if TYPE_CHECKING:
    from framework.run_record import RunRecord
    from framework.store.bundles.bundle_format import Bundle

DERIVATIONS = "derivations"
_FORMAT = "framework-derivation"
_VERSION = 1


@dataclass(frozen=True)
class Derivation:
    """What the hooks said of one run under new definitions.

    Attributes:
        bundle: checksum of the bundle that it was derived from.
        derivation_hash: of the code (`framework.identity.versions.derivation_hash`).
        derived_at: ISO 8601 in UTC.
        metrics, checks: all of the run's, those that were reported included.
    """

    run_id: str
    bundle: str
    derivation_hash: str
    derived_at: str
    sanity: Verdict | None
    metrics: Sequence[Metric]
    checks: Sequence[SanityCheck]

    @classmethod
    def in_bundle(cls, bundle: Bundle) -> Derivation:
        """Return what a bundle itself holds."""
        record = bundle.record
        return cls(
            run_id=record.run_id,
            bundle=bundle.checksum,
            derivation_hash=record.derivation_hash,
            derived_at=record.finished_at or record.started_at,
            sanity=record.sanity,
            metrics=record.metrics,
            checks=record.checks,
        )

    def replaced_in(self, record: RunRecord) -> RunRecord:
        """Return a run's record with these metrics and checks in place of its own."""
        return replace(
            record,
            metrics=self.metrics,
            checks=self.checks,
            sanity=self.sanity,
            derivation_hash=self.derivation_hash,
        )


def derivation_path(outputs: Path | str, run_id: str) -> Path:
    """Return where the derivation of a run lies, if it has one."""
    return Path(outputs) / DERIVATIONS / f"{run_id}.json"


def write_derivation(outputs: Path | str, derivation: Derivation) -> Path:
    """Write a run's derivation in place of the one before. Raises `StoreError` when it can't be written.

    It is not flushed to the medium: what a crash of the machine tears is refused by `ingest` and can be made again.
    """
    body: dict[str, Json] = {
        "format": _FORMAT,
        "version": _VERSION,
        **vars(derivation),
        "metrics": [vars(finite_metric(metric)) for metric in derivation.metrics],
        "checks": [vars(check) for check in derivation.checks],
    }
    body = plain(body)
    path = derivation_path(outputs, derivation.run_id)
    document = json.dumps({**body, "checksum": checksum(body)}, ensure_ascii=False)
    durable.write_whole(path, document.encode("utf-8"), durable=False)
    return path


def read_derivation(path: Path) -> Derivation:
    """Read a derivation. Raises `StoreError` naming the file that is torn, foreign or newer."""
    try:
        document: Json = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"can't read {path}: {durable.os_reason(error)}") from None
    except ValueError:
        raise StoreError(f"{path} is not JSON (truncated?)") from None
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise StoreError(f"{path} is not a derivation of this framework")
    if document.get("version") != _VERSION:
        raise StoreError(f"{path}: version {document.get('version')!r} is not known; update the framework")
    stated = document.pop("checksum", None)
    if stated != checksum({"format": _FORMAT, **document}):
        raise StoreError(f"{path} does not match its checksum")
    try:
        metrics = tuple(part_from_json(Metric, item, f"{path}: a metric") for item in document["metrics"])
        checks = tuple(part_from_json(SanityCheck, item, f"{path}: a check") for item in document["checks"])
        names = ("run_id", "bundle", "derivation_hash", "derived_at", "sanity")
        found = Derivation(**{name: document[name] for name in names}, metrics=metrics, checks=checks)
    except (KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a whole derivation ({error})") from None
    if found.run_id != path.stem:
        raise StoreError(f"{path} holds run {found.run_id}, not the one its name says")
    return found


def with_derivation(bundle: Bundle, derivation: Derivation) -> Bundle:
    """Return a bundle with the metrics and checks of its derivation.

    Raises `StoreError` for the derivation of another bundle.
    """
    from framework.store.bundles.bundle_format import metrics_table

    if derivation.bundle != bundle.checksum:
        raise StoreError(f"the derivation of run {derivation.run_id} is of another bundle than the one there")
    record = derivation.replaced_in(bundle.record)
    return replace(
        bundle,
        record=record,
        tables={**bundle.tables, "metrics": metrics_table(record.run_id, record.metrics)},
    )
