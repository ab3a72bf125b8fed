"""Text of server-sent events and of errors."""

from __future__ import annotations

import json
from typing import Final

_EXCERPT: Final = 160
_NESTED: Final = 4


def line_feeds(text: bytes) -> bytes:
    """Turn CRLF and CR, which an event stream may use, into LF; a CR at the end may still become either."""
    held = b"\r" if text.endswith(b"\r") else b""
    return text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held


def data_of(event: bytes) -> bytes:
    """Return the data of an event with several lines, comments or other fields (WHATWG HTML, section 9.2.6)."""
    found = []
    for line in event.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            found.append(value.removeprefix(b" "))
    return b"\n".join(found)


def error_text(message: object) -> str:
    """Return the text of an OpenAI-style error, whatever its shape."""
    for _ in range(_NESTED):
        if not isinstance(message, dict):
            break
        message = next((message[key] for key in ("error", "message", "detail") if message.get(key)), None)
    if isinstance(message, str):
        return _one_line(message)
    try:
        return _one_line(json.dumps(message))
    except RecursionError:
        return "an error with too many nested levels to read"


def excerpt(data: bytes) -> str:
    """Return the start of some bytes as one printable line."""
    return _one_line(data[: 4 * _EXCERPT].decode("utf-8", "replace"))


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + " …"
