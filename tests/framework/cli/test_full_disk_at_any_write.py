"""A disk that is full at one write or from it on: one line says so, and nothing is lost or done twice.

`tests/support/full_disk.c` counts what a sweep writes, in Python, Arrow and DuckDB, and refuses the n-th. Of the
writes that are the same call on the same file (but for random names) one is tried, in one of the two ways.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[2] / "support"
SWEEP = ("-m", "+experiment=toy_single", "workload.size=4", "backend.speed=1,2", "progress=false")
WHICH = "places"  # `all` tries every write: some minutes


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("library") / "full_disk.so"
    source = str(SUPPORT / "full_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", str(made), source, "-ldl"], check=True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("full", ["stays", "once"])
def test_a_sweep_on_a_disk_that_is_full_at_any_write_is_finished_by_the_same_command(
    toy: Path, library: Path, tmp_path: Path, full: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)]),
        "LD_PRELOAD": str(library),
        "FULL_DISK": str(disk),
        "COLUMNS": "200",
    }
    command = [sys.executable, str(SUPPORT / "full_disk.py"), full, WHICH, *SWEEP]
    said = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    *tried, last = map(json.loads, said.stdout.splitlines())
    assert last["writes"] > 100
    assert len(tried) > 15
    for found in tried:
        check(found)


def check(found: dict[str, Any]) -> None:
    """Assert that a write that was refused is told or did not matter, and that the same command does the rest."""
    if found["full"]["status"] is None:
        assert found["full"]["errors"] == [], found
        assert found["kept"] == [0, 1], found
    else:
        (line,) = found["full"]["errors"]
        reasons = found["failed"] if "1 of 2 runs failed" in line else [line]
        assert reasons, found
        assert all("no space left on the device" in reason for reason in reasons), found
    assert found["again"]["status"] is None, found
    assert found["done"] == [0, 1], found
    assert found["stored"] == [[0], [1]], found
