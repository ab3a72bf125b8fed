from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def framework(tmp_path: Path) -> CommandLine:
    """Run `python -m framework` in an empty folder with this plugin alone: the core must not need another."""
    environment = {**os.environ, "FRAMEWORK_PLUGINS": "queue", "COLUMNS": "200"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framework", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return call
