"""Bringing the runs of one outputs folder into another: each run once, whatever made the copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.errors import StoreError
from framework.store.durable import new_folder, store_errors, write_whole
from framework.store.layout import PACKS_FOLDER, RUNS_FOLDER, SWEEPS_FOLDER

_SIDE_FOLDERS = ("advice", "predictions", "recordings", "derivations", "labels", SWEEPS_FOLDER)
_OF_JOBS = (".jobs.json", ".launcher.json")  # what runs on a machine stays with it


@dataclass
class Merged:
    """What was copied, and how much was there already: bundles or packs, and files beside them."""

    bundles: int = 0
    there: int = 0
    side_files: int = 0


def merge_outputs(source: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> Merged:
    """Copy bundles, packs and what lies beside them; what is there already is left as it is.

    Raises `StoreError`: no such folder, or the target can't be written; what was copied by then is whole.
    """
    if not any((source / name).is_dir() for name in (RUNS_FOLDER, PACKS_FOLDER)):
        raise StoreError(f"no runs in {source}: it has neither '{RUNS_FOLDER}' nor '{PACKS_FOLDER}'")
    if source.resolve() == target.resolve():
        raise StoreError(f"{source} and {target} are the same folder")
    merged = Merged()
    folders = [
        (kind, name)
        for kind in (RUNS_FOLDER, PACKS_FOLDER)
        for name in sorted(os.listdir(source / kind) if (source / kind).is_dir() else ())
        if not name.startswith(".")
    ]
    for number, (kind, name) in enumerate(folders, 1):
        if (target / kind / name).exists():
            merged.there += 1
        else:
            with new_folder(target / kind / name) as folder, store_errors("read", source / kind / name):
                shutil.copytree(source / kind / name, folder, dirs_exist_ok=True)
            merged.bundles += 1
        if progress is not None:
            progress(number, len(folders))
    for kind in _SIDE_FOLDERS:
        for file in sorted((source / kind).glob("[!.]*")):
            if (
                file.is_file()
                and not file.name.endswith(_OF_JOBS)
                and not (target / kind / file.name).exists()
            ):
                with store_errors("read", file):
                    data = file.read_bytes()
                write_whole(target / kind / file.name, data)
                merged.side_files += 1
    return merged
