"""Values as people read them: three to four significant digits, a dash for what is absent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

ABSENT = "–"
_LEAST_PERCENT = 0.01
_RESIDUE = 1e-9  # what floating point leaves of a difference of nothing, in percent


def format_value(value: Any, unit: str = "") -> str:
    """Return a value as short text: numbers rounded, times to the second, a dash for None and NaN.

    `unit` is not written; of percentages none is shown finer than a hundredth of a percent.
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if unit == "%" and abs(value) < _LEAST_PERCENT:
            return _small_percentage(value)
        return format_number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return json.dumps(dict(value), default=str)
    if isinstance(value, Sequence):
        return ", ".join(format_value(item) for item in value)
    if hasattr(value, "item"):  # a numpy scalar
        return format_value(value.item(), unit)
    return str(value)


def _small_percentage(value: float) -> str:
    if abs(value) < _RESIDUE:
        return "0"
    return f"< {_LEAST_PERCENT:g}" if value > 0 else f"> -{_LEAST_PERCENT:g}"


def format_data(value: Any, unit: str = "") -> str:
    """Return a value of any query as short text: whole numbers as they are, since they may be ids or years."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return format_number(value).replace(",", "")
    if isinstance(value, Decimal):
        return str(value)
    return format_value(value, unit)


def format_number(value: float) -> str:
    """Return a number with four significant digits; whole from 1,000 to 10 million, scientific beyond.

    An integral value below 10 million is shown exactly: a batch of 256 is `256`, not `256.0`.
    """
    if math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = float(f"{value:.4g}")
    size = abs(rounded)
    if value == 0:
        return "0"
    if size < 1e-3 or size >= 1e7:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 1000 or value == int(value):
        return f"{value:,.0f}" if size >= 10_000 else f"{value:.0f}"
    decimals = 3 - math.floor(math.log10(size))
    text = f"{rounded:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if size < 1 else text


def format_interval(low: float | None, high: float | None, unit: str = "") -> str:
    """Return `low … high`; empty when neither is known."""
    if low is None and high is None:
        return ""
    return f"{format_value(low, unit)} … {format_value(high, unit)}"


def format_duration(seconds: float) -> str:
    """Return a duration as a clock would say it: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def is_number(value: Any) -> bool:
    """Say whether a value is shown as a number (and so aligned to the right)."""
    return hasattr(value, "__float__") and not isinstance(value, bool)


def count_noun(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`, `1,234 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
