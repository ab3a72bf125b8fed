"""A recorded file line by line, with errors that name file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from framework.errors import InputError
from framework.input_files.opening import opened_text


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its end) of a text file, compressed or not; blank lines are left out.

    Raises:
        InputError: the file can't be read or is not text.
    """
    with opened_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if "\0" in line:
                raise InputError(f"{file}, line {number}: no text")
            if line.strip():
                yield number, line.rstrip("\r\n")


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
