"""A recorded file line by line, with errors that name file and line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from framework.errors import InputError


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its end) of a text file, gzipped or not; blank lines are left out.

    Raises:
        InputError: the file can't be read or is no text.
    """
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if "\0" in line:
                    raise InputError(f"{file}, line {number}: no text")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"no such file '{file}'") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{file}: can't be read: {error or type(error).__name__}") from None


def reading(text: str, quantity: str) -> float:
    """Return a cell as a number.

    Raises:
        ValueError: it is none, or outside what the quantity can be.
    """
    from framework_metrics.nvml.quantities import PLAUSIBLE

    try:
        value = float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        raise ValueError(f"{quantity}: {text!r} is no number") from None
    low, high = PLAUSIBLE.get(quantity, (float("-inf"), float("inf")))
    if not (low <= value <= high and abs(value) != float("inf")):
        raise ValueError(f"{quantity}: {text} is outside {low:g} to {high:g}")
    return value
