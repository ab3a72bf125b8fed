"""Sizes of data as people write them: `10MB`, `64KiB`, `1.5GB`, `1000000`."""

from __future__ import annotations

import re
from typing import Any

from framework.errors import ConfigError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(value: Any, key: str) -> int:
    """Return a number of bytes: decimal prefixes (`MB`) are powers of 1000, binary ones (`MiB`) of 1024.

    Raises:
        ConfigError: not a size, or not a whole positive number of bytes; names the key.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ConfigError(f"{key}: expected a size such as 10MB or 64KiB, got {value!r}")
    match = _SIZE.fullmatch(str(value))
    if match is None or (match[3] and not match[2]):
        raise ConfigError(f"{key}: expected a size such as 10MB or 64KiB, got {value!r}")
    exact = float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()]
    if exact < 1 or exact != int(exact):
        raise ConfigError(f"{key}: {value!r} is not a whole, positive number of bytes")
    return int(exact)


def format_size(size_bytes: int) -> str:
    """Return a size in the largest unit that writes it without a fraction: `10MB`, `64KiB`, `1234567B`."""
    for prefix, power in (("G", 3), ("M", 2), ("K", 1)):
        for base, mark in ((1000, "B"), (1024, "iB")):
            if size_bytes and size_bytes % base**power == 0:
                return f"{size_bytes // base**power}{prefix}{mark}"
    return f"{size_bytes}B"
