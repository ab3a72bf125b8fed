"""Where bundles come from: one interface over loose folders, packs and remote file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from framework.errors import StoreError
from framework.store.bundle import read_bundle
from framework.store.bundle_format import Bundle
from framework.store.durable import os_reason
from framework.store.layout import runs_folder


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

    def load(self, name: str) -> Bundle:
        """Return a verified bundle. Raises `StoreError` saying what is torn or foreign."""
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

    def load(self, name: str) -> Bundle:
        """Read and verify one bundle."""
        return read_bundle(self._folder / name)
