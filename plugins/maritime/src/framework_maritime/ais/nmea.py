"""Raw NMEA sentences (`!AIVDM,…`), decoded by pyais, with times from tag blocks or a leading time stamp."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from framework.errors import ConfigError, InputError

_TIME = re.compile(rb"(?:\\[^\\]*?\bc:(\d{9,13})|^(\d{9,10}(?:\.\d+)?)[\s,;]|[,;](\d{9,10})\s*$)")
_POSITIONS = (1, 2, 3, 18, 19, 27)


def read_nmea(file: Path) -> tuple[pa.Table, dict[str, int]]:
    """Return position messages as a table for `clean`, and the number of sentences left out by reason.

    A sentence without a time of its own takes that of the last one before it.

    Raises:
        ConfigError: pyais is not installed.
        InputError: no position message with a time; names the file.
    """
    try:
        from pyais import decode
        from pyais.exceptions import AISBaseException
    except ImportError:
        raise ConfigError(
            "raw NMEA needs the package pyais: pip install 'framework-maritime[nmea]'"
        ) from None
    columns: dict[str, list[Any]] = {
        name: [] for name in ("ship_id", "t_s", "lon_deg", "lat_deg", "sog_kn", "turn_deg_min")
    }
    left_out: dict[str, int] = {}

    def skip(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    t_s: float | None = None
    parts: dict[tuple[bytes, bytes], list[bytes]] = {}
    with file.open("rb") as lines:
        for raw in lines:
            begin = raw.find(b"!")
            stamp = _TIME.search(raw)
            if stamp is not None:
                t_s = float(next(group for group in stamp.groups() if group))
                t_s = t_s / 1000 if t_s > 1e11 else t_s
            if begin < 0:
                continue
            sentence = raw[begin:].strip()
            sentence = sentence[: sentence.rfind(b"*") + 3]
            fields = sentence.split(b",")
            if len(fields) < 7:
                skip("a broken sentence")
                continue
            group = [sentence]
            if fields[1] != b"1":
                held = parts.setdefault((fields[3], fields[4]), [])
                held.append(sentence)
                if len(held) < int(fields[1] or b"1"):
                    continue
                group = parts.pop((fields[3], fields[4]))
            try:
                message = decode(*group)
            except (AISBaseException, ValueError, IndexError):
                skip("a broken sentence")
                continue
            if message.msg_type not in _POSITIONS:
                skip("another kind of message")
                continue
            if t_s is None:
                skip("no time")
                continue
            columns["ship_id"].append(int(message.mmsi))
            columns["t_s"].append(t_s)
            columns["lon_deg"].append(float(message.lon))
            columns["lat_deg"].append(float(message.lat))
            columns["sog_kn"].append(float(message.speed))
            turn = getattr(message, "turn", None)
            columns["turn_deg_min"].append(_turn(turn))
    if not columns["t_s"]:
        why = ", ".join(f"{number} with {reason}" for reason, number in left_out.items()) or "no sentence"
        raise InputError(f"{file.name}: no position message with a time ({why})")
    return pa.table(columns), left_out


def _turn(value: Any) -> float | None:
    """Return degrees a minute; AIS's codes for 'no information' (-128) and 'faster than can be said' are null."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) <= 708 and number != -128 else None
