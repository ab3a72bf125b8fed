"""A recorded file line by line, with errors that name file and line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from framework.errors import InputError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # what PowerShell's `>` makes of nvidia-smi's output


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its end) of a text file, gzipped or not; blank lines are left out.

    Raises:
        InputError: the file can't be read or is not text.
    """
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rb") as raw:
            encoding = "utf-16" if raw.read(2) in _UTF16 else "utf-8-sig"
        with opener(file, "rt", encoding=encoding) as lines:
            for number, line in enumerate(lines, 1):
                if "\0" in line:
                    raise InputError(f"{file}, line {number}: no text")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError:
        raise InputError(f"no such file '{file}'") from None
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise InputError(f"{file}: can't be read: {error or type(error).__name__}") from None


def kind_of(first_line: str) -> str:
    """Return which of our kinds a file looks like by its first line, as a hint: `; import dmon FILE reads this`."""
    names = [part.strip().partition(" ")[0] for part in first_line.lstrip("#").split(",")]
    if first_line.lstrip().startswith("#") and "gpu" in first_line.lower():
        kind = "dmon"
    elif "time_s" in names:
        kind = "gpu-series"
    elif "timestamp" in names and any("." in name for name in names):
        kind = "nvidia-smi"
    else:
        return ""
    return f"; `import {kind} FILE` reads this"


def reading(text: str, quantity: str) -> float:
    """Return a cell as a number.

    Raises:
        ValueError: it is not a number, or outside the range of the quantity.
    """
    from framework_metrics.nvml.quantities import PLAUSIBLE

    try:
        value = float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        raise ValueError(f"{quantity}: {text!r} is not a number") from None
    low, high = PLAUSIBLE.get(quantity, (float("-inf"), float("inf")))
    if not (low <= value <= high and abs(value) != float("inf")):
        raise ValueError(f"{quantity}: {text} is outside {low:g} to {high:g}")
    return value
