"""A recorded file line by line, with errors that name file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from framework.errors import InputError
from framework.input_files.opening import opened_text


class ShortRowError(ValueError):
    """A row has fewer cells than its header: it may have been cut off."""


def check_width(cells: Sequence[str], header: Sequence[str], word: str) -> None:
    """Raise `ShortRowError` for a row with fewer cells than its header, `ValueError` for one with more."""
    if len(cells) != len(header):
        kind = ShortRowError if len(cells) < len(header) else ValueError
        raise kind(f"{len(cells)} values under {len(header)} {word}")


def take_lines(file: Path, take: Callable[[str], bool]) -> tuple[int, list[str]]:
    """Give each line to `take`, which says whether it was a row; return the number of rows, and remarks.

    The last line may have been cut off when the logger was ended: one with too few cells, or an invalid one without
    an end of line, is left out with a remark. So is one that could be read but is shorter than all before it and
    has no end of line: its last number may have lost digits.

    Raises:
        InputError: a line that can't be read; names file and line.
    """
    rows, shortest, held = 0, 1 << 30, None
    for number, line in numbered_lines(file, ends=True):
        if held is not None:
            rows, shortest = _taken(file, held, take, rows, shortest)
        held = number, line
    if held is None:
        return 0, []
    number, line = held
    text, ended = line.rstrip("\r\n"), line.endswith(("\n", "\r"))
    cut = f"line {number} was cut off and is left out: {text[:60]!r}"
    if rows and not ended and len(text) < shortest:
        return rows, [cut]
    try:
        rows += take(text)
    except ValueError as error:
        if rows and (isinstance(error, ShortRowError) or not ended):
            return rows, [cut]
        raise InputError(f"{file}, line {number}: {error}") from None
    return rows, []


def _taken(
    file: Path, held: tuple[int, str], take: Callable[[str], bool], rows: int, shortest: int
) -> tuple[int, int]:
    number, line = held
    try:
        was_row = take(line.rstrip("\r\n"))
    except ValueError as error:
        raise InputError(f"{file}, line {number}: {error}") from None
    return rows + was_row, min(shortest, len(line.rstrip("\r\n"))) if was_row else shortest


def numbered_lines(file: Path, ends: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text) of a text file, compressed or not; blank lines are left out.

    `ends`: with the end of the line, which a last line may lack.

    Raises:
        InputError: the file can't be read or is not text.
    """
    with opened_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if "\0" in line:
                raise InputError(f"{file}, line {number}: no text")
            if line.strip():
                yield number, line if ends else line.rstrip("\r\n")


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


def reading(text: str, quantity: str, plausible: bool = True) -> float:
    """Return a cell as a number.

    Raises:
        ValueError: it is not a number, or outside the range of the quantity.
    """
    from framework_metrics.nvml.quantities import PLAUSIBLE

    try:
        value = float(int(text, 16)) if text.startswith("0x") else float(text)
    except ValueError:
        raise ValueError(f"{quantity}: {text!r} is not a number") from None
    anything = float("-inf"), float("inf")
    low, high = PLAUSIBLE.get(quantity, anything) if plausible else anything
    if not (low <= value <= high and abs(value) != float("inf")):
        raise ValueError(f"{quantity}: {text} is outside {low:g} to {high:g}")
    return value
