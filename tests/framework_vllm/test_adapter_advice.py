"""The study of adapter slots on a real engine: a small grid, the advice, and the advised point run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.framework_vllm.real_engine import engine_python

pytestmark = pytest.mark.integration

SMALL = [
    *["backend=vllm", "model=tiny-llama", "gpu=cpu", "scale=toy", "backend.enforce_eager=true"],
    *["backend.max_num_seqs=16", "backend.cpu_kv_gib=0.25"],
]


def framework(folder: Path, *words: str) -> str:
    environment = {**os.environ, "FRAMEWORK_VLLM_PYTHON": engine_python(), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def rows(folder: Path, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(framework(folder, "sql", "--format", "json", sql))
    return found


def test_the_advised_adapters_and_slots_do_not_starve_when_they_are_run_again(tmp_path: Path) -> None:
    grid = ["workload.name=middle", "workload.n_adapters=2,4", "backend.max_loras=2"]
    told = framework(tmp_path, "+experiment=adapter_caching", *SMALL, *grid)
    assert "Largest number of adapters" in told
    (advice,) = rows(tmp_path, "SELECT recommendation, predicted FROM advice")
    advised = json.loads(advice["recommendation"])
    assert advised["backend.max_loras"] == 2
    assert advised["workload.n_adapters"] in (2, 4)
    measured = rows(tmp_path, "SELECT total_tok_s, starved FROM results WHERE starved = 0")
    assert advice["predicted"] in [run["total_tok_s"] for run in measured]
    again = framework(tmp_path, "advise", "--from", "adapter_caching", "--run")
    assert "advised for total_tok_s" in again
    (run,) = rows(tmp_path, "SELECT starved, n_adapters FROM results WHERE repeat = 1")
    assert (run["starved"], run["n_adapters"]) == (0, advised["workload.n_adapters"])
