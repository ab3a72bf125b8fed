"""Content addresses: what makes two runs the same experiment, and two jobs of a sweep the same point.

A *run key* is known once the configuration is composed and the workload is built. A *job key* is known
before, from strings alone, so that a sweep of 10,000 finished points is recognised in seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from framework.configuration.study_config import VOLATILE_KEYS
from framework.contracts import Json

_KEY_LENGTH = 20  # hex digits: 80 bits, no collision below 10^11 runs
REPEAT_LEAVES = frozenset(
    {"seed", "repeat", "repeats"}
)  # leaves that number the repeats of one configuration


def canonical_hash(value: Json) -> str:
    """Return a hash of a JSON value that does not depend on the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def without_volatile(config: Mapping[str, Json]) -> dict[str, Json]:
    """Return the part of a configuration that says *what* is measured."""
    return {key: value for key, value in config.items() if key not in VOLATILE_KEYS}


def run_key(config: Mapping[str, Json], workload_hash: str, execution_hash: str, repeat: int) -> str:
    """Return the key of a run: configuration, workload content, what is executed, repetition."""
    return canonical_hash([without_volatile(config), workload_hash, execution_hash, repeat])


def config_key(params: Mapping[str, Json]) -> str:
    """Return a hash of a configuration without what numbers repeats: equal keys are repeats of each other.

    Args:
        params: its leaves by dotted name, as texts; None is an explicit null.
    """
    return canonical_hash(
        {name: text for name, text in params.items() if name.rpartition(".")[2] not in REPEAT_LEAVES}
    )


def job_key(base: str, overrides: Sequence[str], repeat: int) -> str:
    """Return the key of a sweep's point: hash of its base configuration and its own overrides."""
    return canonical_hash([base, sorted(overrides), repeat])


def input_file_stamps(config: Mapping[str, Json]) -> list[list[Json]]:
    """Return (path, size, modification time) of every file that a configuration names.

    A job key can't afford to read a trace; a changed stamp makes it look again.
    """
    stamps: list[list[Json]] = []
    for text in _strings(config):
        if 0 < len(text) < 1024 and (os.sep in text or "." in text):
            path = Path(text)
            try:
                if path.is_file():
                    state = path.stat()
                    stamps.append([text, state.st_size, state.st_mtime_ns])
            except (OSError, ValueError):
                continue
    return sorted(stamps)


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def new_run_id(key: str) -> str:
    """Return a fresh run id: UTC time to the second, the key's start, and six random hex digits.

    Sorts by time; readable in a listing; unique without asking anybody.
    """
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{key[:8]}-{secrets.token_hex(3)}"


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC with microseconds, as `runs` stores it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
