"""Which files are kept with a run: its logs, cut to a size, and what its backend and collectors name."""

from __future__ import annotations

from pathlib import Path

from framework.contracts import Result, SanityCheck

MOST_LOG_BYTES = 2 << 20
"""A longer log is kept without its middle: how an engine started, and how it ended."""
MOST_FILE_BYTES = 1 << 30
"""A larger file would make the store unwieldy; it is left out, and a check says so."""


def kept_files(result: Result, scratch: Path) -> list[Path]:
    """Return the files to keep: `*.log` of the scratch folder, then the result's artefacts.

    A named file that is missing or too large becomes a warning of the result.
    """
    logs = [_cut(log) for log in sorted(scratch.rglob("*.log")) if log.is_file() and log.stat().st_size]
    found: list[Path] = []
    for file in map(Path, result.artifacts):
        if not file.is_file():
            result.checks.append(
                SanityCheck("artifacts", "warn", f"{file.name} was not kept: there is no such file")
            )
        elif file.stat().st_size > MOST_FILE_BYTES:
            size = f"{file.stat().st_size / 2**30:.1f} GiB"
            result.checks.append(SanityCheck("artifacts", "warn", f"{file.name} was not kept: {size}"))
        else:
            found.append(file)
    return [*logs, *(file for file in found if file not in logs)]


def _cut(log: Path) -> Path:
    """Cut the middle out of a long log, in place; a line says how much."""
    size = log.stat().st_size
    if size <= MOST_LOG_BYTES:
        return log
    half = MOST_LOG_BYTES // 2
    with log.open("rb") as data:
        head = data.read(half)
        data.seek(size - half)
        tail = data.read()
    log.write_bytes(head + f"\n… {size - 2 * half:,} bytes left out …\n".encode() + tail)
    return log
