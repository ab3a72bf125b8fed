"""Events of a Spark application, from a single log or the folder of a rolling one, whatever they are compressed with.

A rolling log is a folder with `events_1_…`, `events_2_…` and so on; `events_5_….compact` replaces all up to 5. A log
that is being written is `….inprogress`, or its folder holds `appstatus_….inprogress`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.errors import InputError
from framework.input_files.opening import content_to_its_end

Event = tuple[Path, int, dict[str, Any]]

_PART = re.compile(r"events_(\d+)_(.+?)(\.compact)?(?:\.(?!compact)\w+)?(\.compact)?$")


def spark_events(path: Path) -> Iterator[Event]:
    """Yield (file, line, event). A last line that breaks off is left out.

    Raises:
        InputError: not an event log, parts of two applications, or a part is missing; names file and line.
    """
    files = log_parts(path) if path.is_dir() else [path]
    for place, file in enumerate(files):
        yield from _events(file, last=place == len(files) - 1)


def log_parts(folder: Path) -> list[Path]:
    """Return the parts of a rolling log in their order, from the last compacted one on.

    Raises:
        InputError: none there, one lacks, or they are of two applications.
    """
    parts: dict[int, list[tuple[bool, Path]]] = {}
    names = set()
    for file in folder.iterdir():
        found = _PART.fullmatch(file.name)
        if found and file.is_file():
            compacted = bool(found[3] or found[4])
            parts.setdefault(int(found[1]), []).append((compacted, file))
            names.add(found[2])
    if not parts:
        raise InputError(f"{folder}: contains no part of a rolling event log (events_1_…)")
    if len(names) > 1:
        raise InputError(f"{folder}: parts of {len(names)} applications: {', '.join(sorted(names)[:3])}")
    begin = max((number for number, files in parts.items() if any(packed for packed, _ in files)), default=1)
    numbers = sorted(number for number in parts if number >= begin)
    expected = list(range(begin, numbers[-1] + 1)) if numbers else []
    if not numbers or numbers != expected:
        lacking = next(iter(set(expected) - set(numbers)), 1)
        raise InputError(f"{folder}: part {lacking} of the event log is missing")
    chosen = []
    for number in numbers:
        files = sorted(
            parts[number], key=lambda item: not item[0]
        )  # a compacted one before what it stands for
        if len(files) > 1 and not files[0][0]:
            raise InputError(f"{folder}: part {number} of the event log is there twice")
        chosen.append(files[0][1])
    return chosen


def _events(file: Path, last: bool) -> Iterator[Event]:
    try:
        lines = content_to_its_end(file).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not an event log: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines) > 1 and last:
                return  # a log that was being written: everything before is good
            what = "breaks off" if number == len(lines) > 1 else "not JSON, so not a Spark event log"
            raise InputError(f"{file}: line {number}: {what}") from error
        if not isinstance(event, dict) or "Event" not in event:
            raise InputError(f"{file}: line {number}: not a Spark event")
        yield file, number, event
