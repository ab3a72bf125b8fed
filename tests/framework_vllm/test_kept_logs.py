"""The engine's log stays with its run: through the command line, with an engine that is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.framework_vllm.fake_engine import interpreter

pytestmark = pytest.mark.integration


def framework(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    here = {**os.environ, "FRAMEWORK_CACHE_DIR": str(folder / "cache"), **environment}
    command = [sys.executable, "-m", "framework", *arguments]
    return subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True, check=False)


@pytest.fixture
def study(tmp_path: Path) -> tuple[str, ...]:
    """Overrides of one short run; the model is named but never loaded."""
    return (
        "backend=vllm", f"backend.python={interpreter(tmp_path)}", "backend.vocabulary=[1,500]",
        "backend.warmup_requests=1", "backend.stop_grace_s=1", "model=opt-125m", "gpu=none",
        "workload=fixed", "workload.num_requests=4",
        "workload.lengths.input_tokens=4", "workload.lengths.output_tokens=4",
    )  # fmt: skip


def kept_logs(folder: Path) -> dict[str, str]:
    listed = framework(folder, "artifacts").stdout.splitlines()
    paths = [folder / line.split(maxsplit=2)[2] for line in listed]
    return {path.name: path.read_text() for path in paths if path.parent.name == "log"}


def test_the_log_of_a_good_run_is_in_the_store(tmp_path: Path, study: tuple[str, ...]) -> None:
    ran = framework(tmp_path, *study, "backend.replicas=2")
    assert ran.returncode == 0, ran.stderr
    logs = kept_logs(tmp_path)
    assert set(logs) == {"engine-0.log", "engine-1.log"}
    assert all("ready " in text for text in logs.values())
    query = "SELECT name, count(*) AS files FROM artifacts GROUP BY name"
    found = framework(tmp_path, "sql", query, "--format", "json")
    assert json.loads(found.stdout) == [{"name": "log", "files": 2}]


def test_the_log_of_an_engine_that_did_not_start_is_in_the_store(
    tmp_path: Path, study: tuple[str, ...]
) -> None:
    ran = framework(tmp_path, *study, FAKE_ENGINE="die")
    assert ran.returncode == 1
    assert "CUDA out of memory" in kept_logs(tmp_path)["engine-0.log"]
