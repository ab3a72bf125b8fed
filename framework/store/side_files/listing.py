"""What is stored next to the bundles, as files too, so that the database can be rebuilt from files.

outputs/advice/<set>.json            one advisor's advice on one sweep; written again, it is replaced
outputs/predictions/<run_id>.parquet one call of `predict` or `validate`
outputs/recordings/<name>.parquet    imported runs by the thousand (`recordings`)
outputs/derivations/<run_id>.json    a run's metrics under a later definition (`derivations`)
outputs/labels/<set>.json            tags, notes, names (`labels`)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from framework.contracts import Json
from framework.errors import StoreError
from framework.store.bundles.record_json import checksum
from framework.store.database.schema import ADVICE, PREDICTIONS, conform
from framework.store.durable import os_reason
from framework.store.side_files.labels import label_rows

Kind = Literal["advice", "predictions", "recordings", "derivations", "labels"]
SUFFIX: Mapping[Kind, str] = {
    "advice": ".json",
    "predictions": ".parquet",
    "recordings": ".parquet",
    "derivations": ".json",
    "labels": ".json",
}
KINDS: tuple[Kind, ...] = tuple(SUFFIX)
ADVICE_FORMAT = "framework-advice"


@dataclass(frozen=True)
class SideFile:
    """A file that holds rows of one table; `fingerprint` changes when the file does."""

    kind: Kind
    path: Path
    fingerprint: str

    @property
    def name(self) -> str:
        """Its name without the suffix: the set of advice, or the run id."""
        return self.path.name.removesuffix(SUFFIX[self.kind])


def list_side_files(outputs: Path) -> list[SideFile]:
    """Return all side files, hidden ones (unfinished) left out."""
    found = []
    for kind in KINDS:
        for path in sorted((outputs / kind).glob(f"[!.]*{SUFFIX[kind]}")):
            try:
                stat = path.stat()
            except FileNotFoundError:  # replaced or removed meanwhile
                continue
            except OSError as error:  # "it is gone" would take its rows out of the database
                raise StoreError(f"can't read {path}: {os_reason(error)}") from error
            found.append(SideFile(kind, path, f"{stat.st_size} {stat.st_mtime_ns}"))
    return found


def read_side_file(file: SideFile) -> pa.Table:
    """Return the rows of a file in the schema of its table. Raises `StoreError` naming the file."""
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise StoreError(f"can't read {file.path}: {os_reason(error)}") from None
    if file.kind == "advice":
        return _advice_rows(data, str(file.path))
    if file.kind == "labels":
        return label_rows(data, str(file.path), file.name)
    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
    except (pa.ArrowException, OSError):
        raise StoreError(f"{file.path} is not a complete Parquet file") from None
    rows = conform("predictions", table, PREDICTIONS)
    if rows.num_rows and rows.column("run_id").unique().to_pylist() != [file.name]:
        raise StoreError(f"{file.path} contains predictions of another run than its name says")
    return rows


def _advice_rows(data: bytes, where: str) -> pa.Table:
    try:
        document: Json = json.loads(data)
    except ValueError:
        raise StoreError(f"{where} is not JSON (truncated?)") from None
    if not isinstance(document, dict) or document.get("format") != ADVICE_FORMAT:
        raise StoreError(f"{where} is not advice of this framework")
    stated = document.pop("checksum", None)
    if stated != checksum(document):
        raise StoreError(f"{where} does not match its checksum")
    try:
        rows = [_advice_row(item) for item in document["advice"]]
        return pa.Table.from_pylist(rows, schema=ADVICE)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise StoreError(f"{where} contains something that is not advice ({error})") from None


def _advice_row(item: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: item[name] for name in ADVICE.names}
    return {**row, "advised_at": datetime.fromisoformat(row["advised_at"])}
