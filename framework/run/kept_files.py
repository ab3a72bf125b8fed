"""The files that a run keeps in the store: logs, and what its backend and collectors name, within a limit.

Every `*.log` of the scratch folder is kept as `log/<file>`, also of a failed run; what `Result.artifacts` names as
`<name>/<file>`. A long text log loses its middle, a file beyond the limit is left out; the store says so of both.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG = "log"
TEXT_SUFFIXES = frozenset({".log", ".out", ".err", ".txt"})
MOST_TEXT_BYTES = 4 << 20
_HEAD_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

Files = Path | Sequence[Path]


@dataclass
class KeptFiles:
    """What is kept, and what is not as it was.

    Attributes:
        files: name below the bundle's `artifacts/` → the file to copy.
        notes: why a file is not kept, or not as a whole, by the same names.
    """

    files: dict[str, Path] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def logs_of(scratch: Path) -> list[Path]:
    """Return the logs of a scratch folder that hold anything."""
    return sorted(log for log in scratch.rglob("*.log") if log.is_file() and log.stat().st_size > 0)


def kept_files(named: Iterable[tuple[str, Files]], copies: Path, limit_mb: float) -> KeptFiles:
    """Choose what a run keeps.

    Args:
        named: what files are (`job_history`), and the files or folders of files; the first come first.
        copies: a folder for shortened copies of logs, made when one is needed.
        limit_mb: most that all files of the run may have together, in MiB; 0 keeps none.

    Raises:
        ValueError: a name that can't name a folder.
    """
    kept, left_bytes = KeptFiles(), limit_mb * 2**20
    if limit_mb <= 0:
        return kept
    for name, file in _each(named):
        target = _free_name(kept, name, file)
        if not (file.is_file() and os.access(file, os.R_OK)):
            kept.notes[target] = f"left out: {file.name} is not a file that can be read"
            continue
        size = file.stat().st_size
        if size > MOST_TEXT_BYTES and file.suffix in TEXT_SUFFIXES:
            file = _shortened(file, copies / target)
            kept.notes[target] = f"shortened: the begin and the end of {_mib(size)}"
            size = file.stat().st_size
        if size > left_bytes:
            kept.notes[target] = f"left out: {_mib(size)}, the limit of a run is artifacts_mb={limit_mb:g}"
            continue
        kept.files[target] = file
        left_bytes -= size
    return kept


def _each(named: Iterable[tuple[str, Files]]) -> Iterator[tuple[str, Path]]:
    for name, given in named:
        if not _NAME.fullmatch(name):
            raise ValueError(f"artifact name {name!r}: use letters, digits, '_', '.' and '-'")
        for path in [given] if isinstance(given, str | Path) else given:
            path = Path(path)
            files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
            yield from ((name, file) for file in files)


def _free_name(kept: KeptFiles, name: str, file: Path) -> str:
    """Return `<name>/<file name>`; two files of one name get a number."""
    target, count = f"{name}/{file.name}", 1
    while target in kept.files or target in kept.notes:
        count += 1
        target = f"{name}/{file.stem}-{count}{file.suffix}"
    return target


def _shortened(file: Path, target: Path) -> Path:
    """Write the begin and the end of a long text, cut at line ends, with a line that says how much is missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = file.stat().st_size
    with file.open("rb") as source, target.open("wb") as out:
        head = source.read(_HEAD_BYTES)
        head = head[: head.rfind(b"\n") + 1] or head
        source.seek(size - (MOST_TEXT_BYTES - _HEAD_BYTES))
        source.readline()
        begin = source.tell()
        out.write(head)
        out.write(f"\n[… {begin - len(head)} bytes left out by framework …]\n\n".encode())
        shutil.copyfileobj(source, out)
    return target


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
