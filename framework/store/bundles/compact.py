"""`compact`: many bundles become few large files, and nothing is lost.

A pack is written whole, read back and compared before the first bundle it replaces is removed. A process that is
killed between leaves a run in both places, which counts once everywhere and is tidied up by the next `compact`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from framework.errors import StoreError
from framework.identity.run_key import canonical_hash
from framework.store import durable
from framework.store.bundles.bundle import read_bundle, verify_bundle
from framework.store.bundles.packs import Pack, PackedSource, write_pack
from framework.store.bundles.sources import LooseBundles, PackedBundles
from framework.store.database.writer_lock import DEFAULT_TIMEOUT_S, writer_lock
from framework.store.layout import PACKS_FOLDER, RUNS_FOLDER, packs_folder, runs_folder

PACK_BUNDLES = 2_000
PACK_BYTES = 256 << 20


@dataclass
class CompactReport:
    """What `compact` did.

    Attributes:
        packed: bundles that are now in a pack.
        packs: packs written.
        left: bundles left as they are, each with the reason.
    """

    packed: int = 0
    packs: int = 0
    left: list[str] = field(default_factory=list)


def compact(
    outputs: Path | str,
    progress: Callable[[int, int], None] | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    pack_bundles: int = PACK_BUNDLES,
) -> CompactReport:
    """Pack all whole bundles of an outputs folder.

    Args:
        outputs: the outputs folder.
        progress: called with (bundles packed, bundles to pack).
        timeout_s: how long to wait for another writer.
        pack_bundles: most bundles in a pack; a pack also ends at 256 MiB.

    Raises `StoreError`: no such folder, no permission, disk full, another writer. What was not packed is untouched.
    """
    folder = Path(outputs)
    if not folder.is_dir():
        raise StoreError(f"no runs yet: {folder} is not a folder")
    report = CompactReport()
    with writer_lock(folder, timeout_s):
        for name in (RUNS_FOLDER, PACKS_FOLDER):
            durable.remove_debris(folder / name)
        packed = PackedBundles(folder)
        in_packs = set(packed.names())
        names = LooseBundles(folder).names()
        for name in names:
            if name in in_packs:
                _tidy(folder, packed, name, report)
        todo = [name for name in names if name not in in_packs]
        for sources in _chunks(folder, todo, pack_bundles, report):
            _pack(folder, sources)
            report.packs += 1
            report.packed += len(sources)
            if progress is not None:
                progress(report.packed, len(todo))
    return report


def _chunks(
    outputs: Path, names: Sequence[str], most: int, report: CompactReport
) -> Iterator[list[PackedSource]]:
    """Yield whole bundles in groups fit for a pack; torn ones are reported and left."""
    chunk: list[PackedSource] = []
    size = 0
    for name in names:
        folder = runs_folder(outputs) / name
        try:
            verify_bundle(folder)
            chunk.append(PackedSource(folder, read_bundle(folder)))
        except StoreError as error:
            report.left.append(str(error))
            continue
        size += chunk[-1].bundle.bytes
        if len(chunk) >= most or size >= PACK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _pack(outputs: Path, sources: Sequence[PackedSource]) -> None:
    run_ids = [source.bundle.record.run_id for source in sources]
    mark = canonical_hash(run_ids)[:8]
    target = packs_folder(outputs) / f"{run_ids[0]}-{len(run_ids)}-{mark}"
    write_pack(target, sources)
    pack = Pack(target)
    for source in sources:
        kept = pack.load(source.bundle.record.run_id)
        same = kept.checksum == source.bundle.checksum and kept.tables.keys() == source.bundle.tables.keys()
        if not same or any(
            not kept.tables[name].equals(table) for name, table in source.bundle.tables.items()
        ):
            raise StoreError(
                f"{target}: run {source.bundle.record.run_id} differs after packing; its bundle is kept"
            )
    for source in sources:
        _remove(source.folder)


def _tidy(outputs: Path, packed: PackedBundles, name: str, report: CompactReport) -> None:
    """Remove a loose bundle that an interrupted `compact` had packed already; keep one that differs."""
    folder = runs_folder(outputs) / name
    try:
        if read_bundle(folder).checksum == packed.load(name).checksum:
            _remove(folder)
            return
        report.left.append(f"{folder}: a pack contains another run with this id")
    except StoreError as error:
        report.left.append(str(error))


def _remove(folder: Path) -> None:
    """Remove a bundle so that no one ever sees half of it."""
    hidden = durable.temporary_sibling(folder)
    with durable.store_errors("remove", folder):
        folder.rename(hidden)
        shutil.rmtree(hidden)
