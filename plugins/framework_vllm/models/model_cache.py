"""Where generated models and adapters are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for what this plugin generates, shared by all runs of this user.

    `FRAMEWORK_CACHE_DIR`, else `XDG_CACHE_HOME`, else `~/.cache`.
    """
    given = os.environ.get("FRAMEWORK_CACHE_DIR")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "framework-lab" / "vllm"
