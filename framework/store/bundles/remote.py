"""Bundles on an object store or any other file system that fsspec knows (`s3://`, `gs://`, `file://`, `memory://`).

Object stores have no rename. A remote bundle is therefore there when its `run.json` is, and that is written last;
since it names every file with its checksum, nothing torn is treated as a bundle. The database stays local: an outputs
folder remembers the URLs it ingests from in `remotes.json`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import StoreError, one_line
from framework.store import durable

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.run_record import RunRecord
    from framework.store.bundles.bundle_format import Bundle, Manifest

REMOTES_FILE = "remotes.json"
_RUN_FILE = "run.json"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")


def is_url(location: Path | str) -> bool:
    """Return whether a location is a URL, not a folder of this machine."""
    return _URL.match(str(location)) is not None


def _file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system and the path within it. Raises `StoreError` naming the extra that is missing."""
    from fsspec.core import url_to_fs

    try:
        file_system, path = url_to_fs(url)
    except ImportError as error:
        raise StoreError(f"{url}: {one_line(error)}") from error
    except ValueError as error:
        raise StoreError(f"{url} is not a URL that fsspec supports: {one_line(error)}") from error
    return file_system, path.rstrip("/")


class RemoteBundles:
    """The bundles below a URL; a `BundleSource`."""

    def __init__(self, url: str) -> None:
        self.location = url.rstrip("/")

    @cached_property
    def _place(self) -> tuple[Any, str]:
        return _file_system(self.location)

    def names(self) -> list[str]:
        """Return the run ids whose `run.json` is there. Raises `StoreError` when the place can't be read."""
        try:
            file_system, root = self._place
            file_system.invalidate_cache()
            found = file_system.glob(f"{root}/runs/*/{_RUN_FILE}")
        except StoreError:
            raise
        except Exception as error:  # every remote file system has errors of its own
            raise StoreError(f"can't read {self.location}: {_reason(error)}") from error
        names = (str(path).rsplit("/", 2)[-2] for path in found)
        return sorted(name for name in names if not name.startswith("."))

    def fingerprint(self, name: str) -> str:
        """Return what the file system says of `run.json` (size, time or tag)."""
        file_system, root = self._place
        try:
            return str(file_system.ukey(f"{root}/runs/{name}/{_RUN_FILE}"))
        except Exception:  # gone meanwhile
            return ""

    def manifest(self, name: str) -> Manifest:
        """Return what a bundle's `run.json` holds."""
        from framework.store.bundles.bundle_format import decode_manifest

        return decode_manifest(self._read(name, _RUN_FILE), f"{self.location}/runs/{name}")

    def load(self, name: str) -> Bundle:
        """Read and verify one bundle; artifacts stay where they are."""
        from framework.store.bundles.bundle_format import decode_bundle

        return decode_bundle(
            self.manifest(name), lambda file: self._read(name, file), f"{self.location}/runs/{name}"
        )

    def place(self, name: str, path: str) -> str:
        """Return the URL of a file of a bundle."""
        return f"{self.location}/runs/{name}/{path}"

    def _read(self, name: str, file: str) -> bytes:
        file_system, root = self._place
        try:
            data: bytes = file_system.cat_file(f"{root}/runs/{name}/{file}")
        except Exception as error:
            raise StoreError(
                f"{self.location}/runs/{name}: {file} can't be read: {_reason(error)}"
            ) from error
        return data


def write_remote_bundle(
    url: str, record: RunRecord, tables: Mapping[str, pa.Table], artifacts: Mapping[str, Path]
) -> str:
    """Write a finished run below a URL, `run.json` last; return the bundle's URL.

    Raises `StoreError`: run already there, place can't be written, table against its schema.
    """
    from framework.store.bundles.bundle_format import ARTIFACTS, BundleFile, bundle_contents, encode_manifest

    contents = bundle_contents(record, tables)
    file_system, root = _file_system(url)
    folder = f"{root}/runs/{record.run_id}"
    files = [BundleFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()]
    kept = {f"{ARTIFACTS}/{name}": source for name, source in artifacts.items()}
    try:
        for name, source in kept.items():
            with source.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            files.append(BundleFile(name, source.stat().st_size, digest))
        if file_system.exists(f"{folder}/{_RUN_FILE}"):
            raise StoreError(f"{url}/runs/{record.run_id} already exists and is not replaced")
        file_system.makedirs(folder, exist_ok=True)
        for name, data in contents.items():
            file_system.pipe_file(f"{folder}/{name}", data)
        for name, source in kept.items():
            file_system.makedirs(f"{folder}/{name}".rpartition("/")[0], exist_ok=True)
            file_system.put_file(str(source), f"{folder}/{name}")
        file_system.pipe_file(f"{folder}/{_RUN_FILE}", encode_manifest(record, files))
    except StoreError:
        raise
    except Exception as error:  # every remote file system has errors of its own
        raise StoreError(f"can't write {url}/runs/{record.run_id}: {_reason(error)}") from error
    return f"{url.rstrip('/')}/runs/{record.run_id}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return durable.os_reason(error)
    return one_line(error)


def remembered_remotes(outputs: Path) -> list[str]:
    """Return the URLs that an outputs folder ingests from. Raises `StoreError` for a damaged list."""
    path = outputs / REMOTES_FILE
    try:
        urls = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is not a list of URLs; correct or remove it") from error
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise StoreError(f"{path} is not a list of URLs; correct or remove it")
    return urls


def remember_remote(outputs: Path, url: str) -> None:
    """Add a URL to those that every ingest of an outputs folder looks at.

    Raises `StoreError` when it is not a URL or can't be listed now: a misspelt one is not remembered.
    """
    if not is_url(url):
        raise StoreError(f"'{url}' is not a URL (protocol://place)")
    RemoteBundles(url).names()
    urls = remembered_remotes(outputs)
    if url not in urls:
        durable.write_whole(outputs / REMOTES_FILE, json.dumps([*urls, url], indent=1).encode("utf-8"))
