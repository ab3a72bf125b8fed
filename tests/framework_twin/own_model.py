"""`python -m framework` in a folder, and a model that no shipped file knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from framework.configuration.resources import conf_dir

OPTION, NAME = "my-llama", "Acme-7B"
"""What a command line calls the model, and the name that its runs and profiles bear."""
CONF = ("--config-dir", "conf")


def framework(folder: Path, *words: str, ok: bool = True, **environment: str) -> str:
    """Run a command in a folder and return what it printed; it must succeed, or fail if `ok` is false."""
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def query(folder: Path, sql: str, outputs: str = "outputs") -> list[dict[str, Any]]:
    """Return the rows of a query over the store of a folder."""
    rows = json.loads(framework(folder, "sql", "--outputs", outputs, "--format", "json", sql))
    assert isinstance(rows, list)
    return rows


def write_own_model(folder: Path) -> None:
    """Write `model/my-llama.yaml` into a folder of configuration groups."""
    shape = yaml.safe_load((conf_dir() / "model" / "llama-3.1-8b.yaml").read_text())
    (folder / "model").mkdir(parents=True)
    (folder / "model" / f"{OPTION}.yaml").write_text(yaml.safe_dump({**shape, "name": NAME}))
