"""Run bundles: one finished run as a folder of Parquet tables plus `run.json`.

    outputs/runs/<run_id>/
        run.json            format, schema version, the run record, every file with size and SHA-256,
                            and a checksum over all of that
        metrics.parquet     one row a metric; absent ones have a reason instead of a value
        params.parquet      one row a leaf of the resolved configuration
        <table>.parquet     the run's tables (`samples`, `requests`, `jobs` …), each with its `run_id`
        artifacts/<name>/…  files worth keeping (logs, profiles)

A bundle is whole or not there: it is written under a hidden name, flushed, and renamed. Any number of processes
on any number of hosts may write bundles at once; none of them takes a lock.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import StoreError
from framework.store import durable
from framework.store.bundles.bundle_format import (
    ARTIFACTS,
    RUN_FILE,
    Bundle,
    BundleFile,
    Manifest,
    bundle_contents,
    decode_bundle,
    decode_manifest,
    encode_manifest,
)
from framework.store.bundles.remote import is_url, write_remote_bundle
from framework.store.layout import runs_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.run_record import RunRecord

_CHUNK_BYTES = 1 << 20


def write_bundle(
    outputs: Path | str,
    record: RunRecord,
    tables: Mapping[str, pa.Table],
    artifacts: Mapping[str, Path] | None = None,
) -> Path | str:
    """Write a finished run under `outputs/runs/<run_id>/` and return that path.

    Args:
        outputs: the outputs folder, made when missing; or a URL (`s3://…`).
        record: the run, `done` or `failed`.
        tables: its Arrow tables by name, with or without a `run_id` column.
        artifacts: files to keep with it, by their name below `artifacts/` (`log/engine-0.log`); copied.

    Raises `StoreError`: disk full, no permission, run already there, table against its schema. Nothing is left
    behind then.
    """
    if is_url(outputs):
        return write_remote_bundle(str(outputs), record, tables, artifacts or {})
    contents = bundle_contents(record, tables)
    target = runs_folder(outputs) / record.run_id
    with durable.new_folder(target) as folder:
        files = []
        for name, data in contents.items():
            durable.write_flushed(folder / name, data)
            files.append(BundleFile(name, len(data), hashlib.sha256(data).hexdigest()))
        for name, source in (artifacts or {}).items():
            files.append(_keep_artifact(source, folder, f"{ARTIFACTS}/{name}"))
        durable.write_flushed(folder / RUN_FILE, encode_manifest(record, files))
    return target


def _keep_artifact(source: Path, folder: Path, name: str) -> BundleFile:
    digest, size = hashlib.sha256(), 0
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    try:
        incoming = open(source, "rb")  # noqa: SIM115 - its own error names the source, not the target
    except OSError as error:
        raise StoreError(f"can't keep the artifact {source}: {durable.os_reason(error)}") from error
    with incoming, open(folder / name, "wb") as kept:
        while chunk := incoming.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += kept.write(chunk)
        kept.flush()
        os.fsync(kept.fileno())
    return BundleFile(name, size, digest.hexdigest())


def read_manifest(folder: Path) -> Manifest:
    """Read and check `run.json` alone: fast, and enough to know what a bundle claims."""
    try:
        data = (folder / RUN_FILE).read_bytes()
    except OSError as error:
        raise StoreError(f"{folder}: {RUN_FILE} can't be read: {durable.os_reason(error)}") from None
    manifest = decode_manifest(data, str(folder))
    if manifest.record.run_id != folder.name:
        raise StoreError(f"{folder}: contains run {manifest.record.run_id}, which differs from its name")
    return manifest


def read_bundle(path: Path | str) -> Bundle:
    """Read a bundle; every table is checked against its checksum, artifacts by their size.

    Raises `StoreError` saying what is torn or foreign.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    for file in manifest.artifacts:
        try:
            size = (folder / file.path).stat().st_size
        except OSError as error:
            raise StoreError(f"{folder}: {file.path} can't be read: {durable.os_reason(error)}") from None
        if size != file.bytes:
            raise StoreError(f"{folder}: {file.path} has {size} bytes instead of {file.bytes} (truncated?)")
    return decode_bundle(manifest, lambda name: (folder / name).read_bytes(), str(folder))


def verify_bundle(path: Path | str) -> None:
    """Raise `StoreError` with the first thing that is wrong with a bundle, artifacts' content included."""
    folder = Path(path)
    for file in read_bundle(folder).artifacts:
        with durable.store_errors("read", folder / file.path), open(folder / file.path, "rb") as data:
            digest = hashlib.file_digest(data, "sha256")
        if digest.hexdigest() != file.sha256:
            raise StoreError(f"{folder}: {file.path} does not match its checksum")
