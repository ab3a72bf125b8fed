"""Packs: many bundles as few large files, from which each bundle can be had back exactly.

outputs/packs/<pack>/
    index.parquet           one row a bundle: run id and its `run.json`, verbatim
    slices.parquet          where each of its tables is: file, first row, rows
    <table>-<n>.parquet     the rows of all bundles whose table has the same columns, one bundle after another
    artifacts/<run_id>/…    their artifacts
    pack.json               format, version, every file with size and SHA-256, and a checksum over that
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from framework.contracts import Json
from framework.errors import StoreError
from framework.store import durable
from framework.store.bundles.bundle_format import (
    ARTIFACTS,
    RUN_FILE,
    Bundle,
    BundleFile,
    Manifest,
    decode_manifest,
    encode_parquet,
    verify_file,
)
from framework.store.bundles.record_json import checksum

FORMAT = "framework-pack"
VERSION = 1
PACK_FILE = "pack.json"
INDEX_FILE, SLICES_FILE = "index.parquet", "slices.parquet"
_INDEX = pa.schema([("run_id", pa.string()), ("run_json", pa.string())])
_SLICES = pa.schema(
    [
        ("run_id", pa.string()),
        ("table", pa.string()),
        ("file", pa.string()),
        ("first", pa.int64()),
        ("rows", pa.int64()),
    ]
)


@dataclass(frozen=True)
class PackedSource:
    """A loose bundle on its way into a pack: its folder and its verified content."""

    folder: Path
    bundle: Bundle


def write_pack(target: Path, sources: Sequence[PackedSource]) -> None:
    """Write a pack, whole or not at all. Artifacts are linked where the file system can, else copied."""
    files: list[BundleFile] = []
    with durable.new_folder(target) as folder:

        def put(name: str, data: bytes) -> None:
            durable.write_flushed(folder / name, data)
            files.append(BundleFile(name, len(data), hashlib.sha256(data).hexdigest()))

        slices: list[dict[str, object]] = []
        for name, parts in _by_layout(sources).items():
            first = 0
            for source, table_name in parts:
                rows = source.bundle.tables[table_name].num_rows
                run_id = source.bundle.record.run_id
                slices.append(
                    {"run_id": run_id, "table": table_name, "file": name, "first": first, "rows": rows}
                )
                first += rows
            put(
                name, encode_parquet(pa.concat_tables(source.bundle.tables[table] for source, table in parts))
            )
        put(SLICES_FILE, encode_parquet(pa.Table.from_pylist(slices, schema=_SLICES)))
        index = {
            "run_id": [source.bundle.record.run_id for source in sources],
            "run_json": [(source.folder / RUN_FILE).read_text(encoding="utf-8") for source in sources],
        }
        put(INDEX_FILE, encode_parquet(pa.table(index, schema=_INDEX)))
        for source in sources:
            _keep_artifacts(source, folder / ARTIFACTS / source.folder.name)
        body: dict[str, Json] = {
            "format": FORMAT,
            "version": VERSION,
            "files": [vars(file) for file in files],
        }
        durable.write_flushed(folder / PACK_FILE, json.dumps({**body, "checksum": checksum(body)}).encode())


def _by_layout(sources: Sequence[PackedSource]) -> dict[str, list[tuple[PackedSource, str]]]:
    """Group the bundles' tables by name and columns, so that no value has to change its type to share a file."""
    layouts: dict[str, list[pa.Schema]] = defaultdict(list)
    groups: dict[str, list[tuple[PackedSource, str]]] = defaultdict(list)
    for source in sources:
        for name, table in source.bundle.tables.items():
            known = layouts[name]
            number = next((i for i, schema in enumerate(known) if schema.equals(table.schema)), len(known))
            if number == len(known):
                known.append(table.schema)
            groups[f"{name}-{number}.parquet"].append((source, name))
    return groups


def _keep_artifacts(source: PackedSource, folder: Path) -> None:
    for file in source.bundle.artifacts:
        kept = folder / file.path.removeprefix(f"{ARTIFACTS}/")
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.folder / file.path, kept)
        except OSError:
            shutil.copyfile(source.folder / file.path, kept)


class Pack:
    """A pack on disk, read as far as it is needed. Every method raises `StoreError` saying what is torn."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, pa.Table] = {}

    @cached_property
    def _files(self) -> dict[str, BundleFile]:
        data = self._bytes(PACK_FILE)
        try:
            document = json.loads(data)
        except ValueError:
            raise StoreError(f"{self.folder}: {PACK_FILE} is not JSON (truncated?)") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise StoreError(f"{self.folder}: {PACK_FILE} is not of this framework")
        stated = document.pop("checksum", None)
        if document.get("version") != VERSION:
            raise StoreError(f"{self.folder}: pack version {document.get('version')!r} is not known")
        if stated != checksum(document):
            raise StoreError(f"{self.folder}: {PACK_FILE} does not match its checksum")
        return {file["path"]: BundleFile(**file) for file in document["files"]}

    @cached_property
    def manifests(self) -> dict[str, bytes]:
        """Every bundle's `run.json` by run id."""
        index = self._table(INDEX_FILE).to_pydict()
        return {
            run_id: text.encode("utf-8")
            for run_id, text in zip(index["run_id"], index["run_json"], strict=True)
        }

    @cached_property
    def _slices(self) -> dict[str, list[tuple[str, str, int, int]]]:
        found: dict[str, list[tuple[str, str, int, int]]] = defaultdict(list)
        for row in self._table(SLICES_FILE).to_pylist():
            found[row["run_id"]].append((row["table"], row["file"], row["first"], row["rows"]))
        return found

    def manifest(self, run_id: str) -> Manifest:
        """Return what a bundle's `run.json` holds."""
        if run_id not in self.manifests:
            raise StoreError(f"{self.folder}: run {run_id} is not in this pack")
        return decode_manifest(self.manifests[run_id], f"{self.folder} ({run_id})")

    def load(self, run_id: str) -> Bundle:
        """Return one bundle as it was when it was packed."""
        manifest = self.manifest(run_id)
        tables = {
            name: self._table(file).slice(first, rows) for name, file, first, rows in self._slices[run_id]
        }
        for file in manifest.artifacts:
            kept = self.artifact(run_id, file.path)
            if not kept.is_file():
                raise StoreError(f"{kept} is missing")
        size = sum(file.bytes for file in manifest.files)
        return Bundle(manifest.record, tables, manifest.artifacts, size, manifest.checksum)

    def artifact(self, run_id: str, path: str) -> Path:
        """Return where a file lies whose path in its bundle is `artifacts/…`."""
        return self.folder / ARTIFACTS / run_id / path.removeprefix(f"{ARTIFACTS}/")

    def forget(self) -> None:
        """Give the memory of the tables back."""
        self._tables.clear()

    def _table(self, name: str) -> pa.Table:
        if name not in self._tables:
            if name not in self._files:
                raise StoreError(f"{self.folder}: {name} is not in the list of files")
            data = self._bytes(name)
            verify_file(self._files[name], data, str(self.folder))
            try:
                self._tables[name] = pq.ParquetFile(pa.BufferReader(data)).read()
            except (pa.ArrowException, OSError):
                raise StoreError(f"{self.folder}: {name} is not a Parquet file") from None
        return self._tables[name]

    def _bytes(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.folder}: {name} can't be read: {durable.os_reason(error)}") from None
