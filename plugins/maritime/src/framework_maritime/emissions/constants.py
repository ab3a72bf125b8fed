"""The constants of the emission models, from the files beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def constants() -> dict[str, Any]:
    """Return `factors.yaml`: emission factors with their sources."""
    return _read("factors.yaml")


@cache
def zone_data() -> dict[str, Any]:
    """Return `zones.yaml`: control areas, sulphur limits by date, NOx tiers."""
    return _read("zones.yaml")


def _read(name: str) -> dict[str, Any]:
    content = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
