"""Reading many bundles: several at once, each verified, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from framework.errors import StoreError
from framework.store.bundles.bundle_format import Bundle
from framework.store.bundles.sources import BundleSource

BATCH_BUNDLES = 500
BATCH_ROWS = 1_500_000
READ_AHEAD = 100
READERS = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle that was read, or why it can't be."""

    source: BundleSource
    name: str
    content: Bundle | StoreError

    @property
    def rows(self) -> int:
        """Rows of all its tables."""
        if isinstance(self.content, StoreError):
            return 0
        return sum(table.num_rows for table in self.content.tables.values())


def read_batches(
    candidates: Sequence[tuple[BundleSource, str]], progress: Progress
) -> Iterator[list[LoadedBundle]]:
    """Yield bundles as they are read and verified; a torn one comes with its reason and stops nothing.

    `progress` is called with (bundles read, bundles to read).
    """
    batch: list[LoadedBundle] = []
    rows = 0
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(candidates), READ_AHEAD):
            for loaded in pool.map(_load, candidates[start : start + READ_AHEAD]):
                batch.append(loaded)
                rows += loaded.rows
            progress(min(start + READ_AHEAD, len(candidates)), len(candidates))
            if rows >= BATCH_ROWS or len(batch) >= BATCH_BUNDLES:
                yield batch
                batch, rows = [], 0
    if batch:
        yield batch


def _load(candidate: tuple[BundleSource, str]) -> LoadedBundle:
    source, name = candidate
    try:
        return LoadedBundle(source, name, source.load(name))
    except StoreError as error:
        return LoadedBundle(source, name, error)
