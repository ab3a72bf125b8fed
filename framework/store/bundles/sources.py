"""Where bundles come from: one interface over loose folders, packs and remote file systems."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from framework.errors import StoreError
from framework.store.bundles.bundle import read_bundle, read_manifest
from framework.store.bundles.bundle_format import Bundle, Manifest
from framework.store.bundles.packs import PACK_FILE, Pack
from framework.store.bundles.remote import RemoteBundles, is_url, remembered_remotes
from framework.store.durable import os_reason
from framework.store.layout import packs_folder, runs_folder


class BundleSource(Protocol):
    """A place that holds bundles.

    Attributes:
        location: how the place is named in the tables `bundles` and `quarantine`.
    """

    location: str

    def names(self) -> list[str]:
        """Return the names of everything there that is, or claims to be, a bundle; sorted."""
        ...

    def fingerprint(self, name: str) -> str:
        """Return a text that changes when the bundle's files do, without reading them."""
        ...

    def manifest(self, name: str) -> Manifest:
        """Return what a bundle claims to be, without reading its tables. Raises `StoreError` as `load`."""
        ...

    def load(self, name: str) -> Bundle:
        """Return a verified bundle. Raises `StoreError` saying what is torn or foreign."""
        ...

    def place(self, name: str, path: str) -> str:
        """Return where an artifact of a bundle lies: a path or a URL. `names` has been asked before."""
        ...


class LooseBundles:
    """The bundles of an outputs folder, one folder each."""

    location = "runs"

    def __init__(self, outputs: Path) -> None:
        self._folder = runs_folder(outputs)

    def names(self) -> list[str]:
        """Return all entries of the folder but hidden ones, which are not finished."""
        try:
            return sorted(name for name in os.listdir(self._folder) if not name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"can't read {self._folder}: {os_reason(error)}") from error

    def fingerprint(self, name: str) -> str:
        """Return number, sizes and newest modification time of the bundle's files."""
        count, size, newest_ns = 0, 0, 0
        for folder, _, files in os.walk(self._folder / name):
            for file in files:
                try:
                    stat = os.stat(os.path.join(folder, file))
                except OSError:
                    continue
                count, size, newest_ns = count + 1, size + stat.st_size, max(newest_ns, stat.st_mtime_ns)
        return f"{count} {size} {newest_ns}"

    def manifest(self, name: str) -> Manifest:
        """Read one `run.json`."""
        return read_manifest(self._folder / name)

    def load(self, name: str) -> Bundle:
        """Read and verify one bundle."""
        return read_bundle(self._folder / name)

    def place(self, name: str, path: str) -> str:
        """Return the path of a file of a bundle."""
        return str(self._folder / name / path)


class PackedBundles:
    """The bundles that `compact` has packed. A pack that can't be read is listed by its own name, to be refused."""

    location = "packs"

    def __init__(self, outputs: Path) -> None:
        self._folder = packs_folder(outputs)
        self._pack_of: dict[str, Pack] = {}
        self._open: Pack | None = None
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the run ids of all readable packs, and the names of the others."""
        self._pack_of = {}
        for folder in sorted(self._folder.glob("[!.]*")):
            pack = Pack(folder)
            try:
                run_ids = list(pack.manifests)
            except StoreError:  # told when the runs are read
                run_ids = [folder.name]
            for run_id in run_ids:
                self._pack_of.setdefault(run_id, pack)
        return list(self._pack_of)

    def fingerprint(self, name: str) -> str:
        """Return size and modification time of the pack's own list of files."""
        try:
            stat = (self._pack_of[name].folder / PACK_FILE).stat()
        except OSError:
            return ""
        return f"{stat.st_size} {stat.st_mtime_ns}"

    def manifest(self, name: str) -> Manifest:
        """Return one bundle's `run.json` from its pack."""
        return self._pack_of[name].manifest(name)

    def load(self, name: str) -> Bundle:
        """Return one bundle from its pack; the tables of one pack at a time are held in memory."""
        with self._lock:
            pack = self._pack_of[name]
            if self._open is not None and self._open is not pack:
                self._open.forget()
            self._open = pack
            return pack.load(name)

    def place(self, name: str, path: str) -> str:
        """Return the path of an artifact in its pack."""
        return str(self._pack_of[name].artifact(name, path))


def read_runs(outputs: Path | str, run_ids: Iterable[str]) -> Iterator[tuple[str, Bundle | StoreError]]:
    """Yield the verified bundle of each run, wherever it lies, or why it can't be had; each run once."""
    missing = dict.fromkeys(run_ids)
    for source in bundle_sources(outputs):
        try:
            here = [name for name in source.names() if name in missing]
        except StoreError:  # out of reach; its runs may lie elsewhere too
            continue
        for name in here:
            del missing[name]
            try:
                yield name, source.load(name)
            except StoreError as error:
                yield name, error
    for name in missing:
        yield name, StoreError("its bundle is not there, or out of reach")


def bundle_sources(outputs: Path | str) -> list[BundleSource]:
    """Return all places that an outputs folder, or a URL, has bundles in.

    Loose ones come first: a run that `compact` moves while they are listed is then still found in its pack.
    """
    if is_url(outputs):
        return [RemoteBundles(str(outputs))]
    outputs = Path(outputs)
    remotes = [RemoteBundles(url) for url in remembered_remotes(outputs)]
    return [LooseBundles(outputs), PackedBundles(outputs), *remotes]
