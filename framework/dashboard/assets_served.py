"""The files that pages load: named one by one, packed once, kept by the browser until their content changes."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from framework.dashboard.address import NotThereError

_ASSETS = {
    "plotly.js": "plotly",
    "report.css": "framework.report.html",
    "report.js": "framework.report.html",
    "dashboard.css": "framework.dashboard",
    "dashboard.js": "framework.dashboard",
}
"""File → the package that it belongs to. Nothing else is served from a disk by its name."""


def asset(name: str) -> tuple[bytes, str]:
    """Return a file packed with gzip, and its media type; raises `NotThereError`."""
    if name not in _ASSETS:
        raise NotThereError(f"no file '{name[:80]}'")
    return _packed(name), mimetypes.guess_type(name)[0] or "text/plain"


@cache
def asset_address(name: str) -> str:
    """Return the address of a file, which changes with its content."""
    return f"/assets/{name}?v={hashlib.sha256(_content(name)).hexdigest()[:12]}"


@cache
def plotly_style_ids() -> list[str]:
    """Return the ids of the style sheets that plotly.js would add to a page for its maps, which no page may do.

    It leaves that to a page that has an element of the id already; the pages have no maps.
    """
    return sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', _content("plotly.js").decode())))


@cache
def _packed(name: str) -> bytes:
    return gzip.compress(_content(name), 9, mtime=0)


def _content(name: str) -> bytes:
    if name == "plotly.js":
        from plotly.offline import get_plotlyjs

        return str(get_plotlyjs()).encode()
    found = find_spec(_ASSETS[name])
    assert found is not None
    assert found.origin is not None
    return (Path(found.origin).parent / "assets" / name).read_bytes()
