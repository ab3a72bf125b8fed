"""What the files of an outputs folder hold that its database does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.store.bundles.heartbeat import RunningRun
from framework.store.bundles.remote import is_url
from framework.store.bundles.sources import BundleSource
from framework.store.database.inventory import Inventory
from framework.store.side_files.listing import SideFile, list_side_files


@dataclass(frozen=True)
class News:
    """The difference between files and database.

    Attributes:
        candidates: bundles that are not in, and were not refused as they now are.
        skipped: bundles that are in.
        side_files: advice and prediction files that are new or changed.
        gone: (kind or location, name) of side files and refused bundles that are no longer there.
        unfinished: runs with a marker and no bundle.
        unreachable: remote places that can't be listed now, each with the reason.
        stale_views: whether markers, metric definitions or views differ from the database's.
    """

    candidates: Sequence[tuple[BundleSource, str]]
    skipped: int
    side_files: Sequence[SideFile]
    gone: Sequence[tuple[str, str]]
    unfinished: Sequence[RunningRun]
    stale_views: bool
    unreachable: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.candidates or self.side_files or self.gone or self.stale_views)


def find_news(
    outputs: Path,
    sources: Sequence[BundleSource],
    inventory: Inventory,
    running: Sequence[RunningRun],
    definitions: str,
) -> News:
    """Compare files with the database's own account of them; reads no bundle.

    `running` must have been read before: a run that ends meanwhile is then found as a bundle, not missed by both.
    """
    known, present = set(inventory.run_ids), set()
    candidates, skipped = [], 0
    unreachable = []
    for source in sources:
        try:
            names = source.names()
        except StoreError as error:
            if not is_url(source.location):
                raise
            unreachable.append(str(error))
            continue
        for name in names:
            present.add((source.location, name))
            if name in known:
                skipped += name in inventory.run_ids
                continue
            refused = inventory.quarantined.get((source.location, name))
            if refused is None or refused != source.fingerprint(name):
                candidates.append((source, name))
                known.add(name)
    files = list_side_files(outputs)
    present |= {(file.kind, file.name) for file in files}
    accounts = {**inventory.quarantined, **inventory.side_files}
    unfinished = [run for run in running if run.record.run_id not in known]
    statuses = {run.record.run_id: run.status for run in unfinished}
    return News(
        candidates=candidates,
        skipped=skipped,
        side_files=[file for file in files if accounts.get((file.kind, file.name)) != file.fingerprint],
        gone=[key for key in accounts if key not in present],
        unfinished=unfinished,
        stale_views=statuses != dict(inventory.unfinished) or definitions != inventory.definitions,
        unreachable=unreachable,
    )
