"""What the files of a bundle hold, byte by byte; where they lie is `bundle`'s, `packs`' and `remote`'s business.

`run.json` is the root of trust: format, schema version, the run record, every file with size and SHA-256, and a
checksum over all of that. A Parquet file is believed only when it matches.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from framework.contracts import Json, Metric
from framework.errors import StoreError, one_line
from framework.run_record import RunRecord
from framework.store.bundles.record_json import (
    checksum,
    finite_metric,
    leaf_number,
    leaf_text,
    leaves,
    plain,
    record_from_json,
    record_to_json,
)
from framework.store.database.schema import (
    BUNDLE_VERSION,
    METRICS,
    PARAMS,
    RUN_ID,
    check_column_names,
    check_table_name,
    conform,
    declared_tables,
    plain_columns,
)
from framework.store.durable import os_reason

FORMAT = "framework-bundle"
RUN_FILE = "run.json"
ARTIFACTS = "artifacts"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,119}")


@dataclass(frozen=True)
class BundleFile:
    """One file of a bundle: path relative to the bundle, size, SHA-256."""

    path: str
    bytes: int
    sha256: str

    @property
    def is_table(self) -> bool:
        """Whether it is one of the run's Parquet tables."""
        return "/" not in self.path and self.path.endswith(".parquet")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and verified.

    Attributes:
        record: the run record.
        tables: `metrics`, `params` and the run's own tables, each with a `run_id` column.
        artifacts: the files kept with the run; paths relative to the bundle.
        bytes: size of all files but `run.json`.
        checksum: the manifest's checksum, which names the bundle's whole content.
    """

    record: RunRecord
    tables: Mapping[str, pa.Table]
    artifacts: Sequence[BundleFile]
    bytes: int
    checksum: str


@dataclass(frozen=True)
class Manifest:
    """What `run.json` holds: the record and the files. `checksum` covers both."""

    record: RunRecord
    files: tuple[BundleFile, ...]
    checksum: str

    @property
    def table_files(self) -> dict[str, BundleFile]:
        """The Parquet files by table name."""
        return {file.path.removesuffix(".parquet"): file for file in self.files if file.is_table}

    @property
    def artifacts(self) -> list[BundleFile]:
        """The files that are not tables."""
        return [file for file in self.files if not file.is_table]


def check_run_id(run_id: str) -> None:
    """Raise `StoreError` for a run id that can't name a folder on every file system."""
    if not _RUN_ID.fullmatch(run_id):
        raise StoreError(f"run id {run_id!r}: use up to 120 letters, digits, '.', '_', '=', '+' and '-'")


def metrics_table(run_id: str, reported: Sequence[Metric]) -> pa.Table:
    """Return a run's metrics as rows; a name that occurs twice is an error of the collector."""
    metrics = [finite_metric(metric) for metric in reported]
    names = [metric.name for metric in metrics]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise StoreError(f"run {run_id}: metric '{twice}' is reported twice")
    if not all(names):
        raise StoreError(f"run {run_id}: a metric has no name")
    columns = {
        field.name: [plain(getattr(metric, field.name)) for metric in metrics]
        for field in METRICS
        if field.name != "run_id"
    }
    return pa.table({"run_id": [run_id] * len(metrics), **columns}, schema=METRICS)


def params_table(record: RunRecord) -> pa.Table:
    """Return the leaves of the resolved configuration as rows (name, text, number)."""
    items = [(name, plain(value)) for name, value in leaves(record.config)]
    return pa.table(
        {
            "run_id": [record.run_id] * len(items),
            "name": [plain(name) for name, _ in items],
            "value": [leaf_text(value) for _, value in items],
            "number": [leaf_number(value) for _, value in items],
        },
        schema=PARAMS,
    )


def with_run_id(name: str, table: pa.Table, run_id: str) -> pa.Table:
    """Return a run's table in its declared schema, `run_id` first. A table no plugin declares keeps its own."""
    check_table_name(name)
    check_column_names(name, table.column_names)
    declared = declared_tables().get(name)
    body = table.drop_columns(["run_id"]) if "run_id" in table.column_names else table
    body = plain_columns(body) if declared is None else conform(name, body, declared)
    run_ids = pa.repeat(pa.scalar(run_id, pa.string()), body.num_rows)
    return body.add_column(0, RUN_ID, run_ids).replace_schema_metadata(None)


def encode_parquet(table: pa.Table) -> bytes:
    """Return a table as one Parquet file (Zstandard, page checksums)."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def encode_manifest(record: RunRecord, files: Sequence[BundleFile]) -> bytes:
    """Return the bytes of `run.json`."""
    body: dict[str, Json] = {
        "format": FORMAT,
        "schema_version": BUNDLE_VERSION,
        "record": record_to_json(record),
        "files": [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in files],
    }
    return json.dumps({**body, "checksum": checksum(body)}, indent=1, ensure_ascii=False).encode("utf-8")


def bundle_contents(record: RunRecord, tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """Return the Parquet files of a bundle by their name. Raises `StoreError` naming run and table."""
    check_run_id(record.run_id)
    if record.status not in ("done", "failed"):
        raise StoreError(
            f"run {record.run_id}: a bundle contains a done or failed run, not a {record.status} one"
        )
    try:
        encoded = {name: with_run_id(name, table, record.run_id) for name, table in tables.items()}
        encoded = {
            "metrics": metrics_table(record.run_id, record.metrics),
            "params": params_table(record),
            **encoded,
        }
        return {f"{name}.parquet": encode_parquet(table) for name, table in encoded.items()}
    except pa.ArrowException as error:
        raise StoreError(f"run {record.run_id}: {one_line(error)}") from error


def decode_manifest(data: bytes, where: str) -> Manifest:
    """Return what a `run.json` holds. Raises `StoreError` saying what is wrong with it."""
    try:
        document = json.loads(data)
    except ValueError:  # UnicodeDecodeError included
        raise StoreError(f"{where}: {RUN_FILE} is not JSON (truncated?)") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StoreError(f"{where}: {RUN_FILE} is not of this framework")
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise StoreError(f"{where}: bundle schema version {version!r} is not known")
    if version > BUNDLE_VERSION:
        raise StoreError(
            f"{where}: bundle schema version {version} is newer than this framework's {BUNDLE_VERSION}; update it"
        )
    stated = document.pop("checksum", None)
    if stated != checksum(document):
        raise StoreError(f"{where}: {RUN_FILE} does not match its checksum")
    record = record_from_json(document.get("record"), where)
    if record.status not in ("done", "failed"):
        raise StoreError(f"{where}: a bundle with status '{record.status}'")
    try:
        files = tuple(
            BundleFile(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in document["files"]
        )
    except (KeyError, TypeError, ValueError):
        raise StoreError(f"{where}: the list of files is damaged") from None
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise StoreError(f"{where}: file path {file.path!r} is outside the bundle")
    missing = {"metrics.parquet", "params.parquet"} - {file.path for file in files}
    if missing:
        raise StoreError(f"{where}: {min(missing)} is not in the list of files")
    return Manifest(record, files, str(stated))


def verify_file(file: BundleFile, data: bytes, where: str) -> None:
    """Raise `StoreError` when a file is not what the manifest says."""
    if len(data) != file.bytes:
        raise StoreError(f"{where}: {file.path} has {len(data)} bytes instead of {file.bytes} (truncated?)")
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise StoreError(f"{where}: {file.path} does not match its checksum")


def decode_parquet(data: bytes, file: str, run_id: str, where: str) -> pa.Table:
    """Return the table of a bundle's Parquet file. Raises `StoreError` for another kind of file, or another run's."""
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    except MemoryError:  # says nothing of the file
        raise
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{where}: {file} is not a Parquet file: {one_line(error)}") from None
    if "run_id" not in table.column_names:
        raise StoreError(f"{where}: {file} has no column 'run_id'")
    if table.num_rows and set(table.column("run_id").unique().to_pylist()) != {run_id}:
        raise StoreError(f"{where}: {file} contains rows of another run")
    return table


def decode_bundle(manifest: Manifest, read: Callable[[str], bytes], where: str) -> Bundle:
    """Return a verified bundle; `read` returns the bytes of one of its files. Artifacts are not read.

    Raises `StoreError` naming the file that is missing, truncated or altered.
    """
    tables = {}
    for name, file in manifest.table_files.items():
        try:
            data = read(file.path)
        except OSError as error:
            raise StoreError(f"{where}: {file.path} can't be read: {os_reason(error)}") from None
        verify_file(file, data, where)
        tables[name] = decode_parquet(data, file.path, manifest.record.run_id, where)
    size = sum(file.bytes for file in manifest.files)
    return Bundle(manifest.record, tables, manifest.artifacts, size, manifest.checksum)
