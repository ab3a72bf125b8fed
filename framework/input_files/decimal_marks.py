"""Numbers with a decimal comma or a decimal point: which of the two a file uses, by what its numbers look like.

One mark before three digits (`1,234`) can be either. It is read only where other numbers of the file settle it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?[\d.,\s'\u00a0\u202f]*\d[\d.,]*(?:[eE][+-]?\d+)?$")
_SPACES = re.compile(r"[\s'\u00a0\u202f]")


class MixedMarksError(ValueError):
    """Numbers of one file use both marks for decimals; the text shows one of each."""


def decimal_mark(texts: Iterable[str]) -> str | None:
    """Return the decimal mark of these numbers, `.` or `,`; None where none of them settles it.

    Texts that are not numbers are passed over.

    Raises:
        MixedMarksError: one number can only have a decimal point, another only a decimal comma.
    """
    seen: dict[str, str] = {}
    for text in texts:
        mark = _mark_of(text)
        if mark is not None:
            seen.setdefault(mark, text.strip())
            if len(seen) == 2:
                raise MixedMarksError(f"decimals with a point ({seen['.']}) and with a comma ({seen[',']})")
    return next(iter(seen), None)


def _mark_of(text: str) -> str | None:
    text = _SPACES.sub("", text)
    if not _NUMBER.match(text):
        return None
    commas, points = text.count(","), text.count(".")
    if commas and points:
        last = "," if text.rfind(",") > text.rfind(".") else "."
        return last if text.count(last) == 1 else None
    if commas + points == 0:
        return None
    own, other = (",", ".") if commas else (".", ",")
    if commas + points > 1:
        return other  # a number has one decimal mark: this one groups thousands
    before, _, after = re.split(r"[eE]", text)[0].lstrip("+-").partition(own)
    settled = len(after) != 3 or len(before) > 3 or before in ("", "0")
    return own if settled else None


def number_with(text: str, mark: str | None) -> float:
    """Return a number written with a decimal mark; the other mark groups thousands. `mark` None: not settled.

    Raises:
        ValueError: not a number, thousands that are grouped otherwise, or a mark whose meaning is not settled.
    """
    plain = _SPACES.sub("", text)
    if mark is None:
        if re.search(r"\d,\d{3}(?!\d)", plain):
            raise ValueError(f"{text!r}: thousands or a decimal comma? No number of the file settles it")
        mark = "."
    other = "," if mark == "." else "."
    whole, _, rest = plain.partition(mark)
    if other in rest or mark in rest:
        raise ValueError(f"{text!r} is not a number")
    if other in whole and not re.fullmatch(rf"[+-]?\d{{1,3}}(?:{re.escape(other)}\d{{3}})+", whole):
        raise ValueError(f"{text!r} is not a number: its thousands are not grouped by three")
    return float(whole.replace(other, "") + ("." + rest if mark in plain else ""))
