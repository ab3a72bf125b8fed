"""Small questions to a server: is it well, which version, which models."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit


class NoAnswerError(Exception):
    """The server did not answer, or not what was asked for; the text says how."""


def get(url: str, path: str, timeout_s: float, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the body of a GET. Raises `NoAnswerError` for anything but status 200."""
    return _request("GET", url, path, timeout_s, headers, None)


def get_json(url: str, path: str, timeout_s: float, headers: Mapping[str, str] | None = None) -> Any:
    """Return the JSON value of a GET. Raises `NoAnswerError` in the same way, and for a body that is not JSON."""
    body = get(url, path, timeout_s, headers)
    try:
        return json.loads(body)
    except ValueError as error:
        raise NoAnswerError(f"{url}{path}: answered no JSON: {error}") from error


def post_json(
    url: str, path: str, content: Any, timeout_s: float, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the body of a POST of JSON. Raises `NoAnswerError` in the same way."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    return _request("POST", url, path, timeout_s, sent, json.dumps(content).encode())


def _request(
    method: str, url: str, path: str, timeout_s: float, headers: Mapping[str, str] | None, body: bytes | None
) -> bytes:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(f"{url}{path}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        said = content.decode(errors="replace").strip()[:300]
        raise NoAnswerError(f"{url}{path}: HTTP {answer.status} {said}".strip())
    return content
