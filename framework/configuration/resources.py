"""Where shipped configuration and study folders lie: next to the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(name: str) -> Path:
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def conf_dir() -> Path:
    """Return the root of the Hydra configuration (`config.yaml` and one folder a group)."""
    return _shipped("conf")


def plugin_template() -> Path:
    """Return the plugin that `new-plugin` copies: an example of a checkout, shipped with the wheel."""
    inside = _PACKAGE / "newplugin"
    return inside if inside.is_dir() else _PACKAGE.parent / "examples" / "newplugin"


def cache_folder(name: str) -> Path:
    """Return the folder for what can be made again (compiled programs, generated models), shared by a user's runs.

    `FRAMEWORK_CACHE_DIR`, else `XDG_CACHE_HOME`, else `~/.cache`.
    """
    given = os.environ.get("FRAMEWORK_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "framework-lab" / name
