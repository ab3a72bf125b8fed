"""The whole loop on the real engine, as small as it gets: it ends with a profile that the twin takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework_twin.physics.profile import read_profile
from tests.framework_vllm.real_engine import engine_python

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def framework(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        env={**os.environ, "FRAMEWORK_VLLM_PYTHON": engine_python()},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_measure_fit_replay_and_the_twin_takes_the_profile(tmp_path: Path) -> None:
    # one grid of steps, one run to fit, one to check; errors of so small runs on a busy machine prove nothing
    framework(
        tmp_path,
        "+experiment=calibrate_vllm",
        "model=tiny-llama",
        "workload.name=steps,burst,poisson_low",
        "workload.num_requests=12",
    )
    (file,) = (tmp_path / "outputs" / "profiles").glob("tiny-llama_cpu_v1*.yaml")
    assert read_profile(file).fit.families == ("burst", "offline_steps")
    query = "SELECT facts FROM advice WHERE advisor = 'calibrate'"
    (row,) = json.loads(framework(tmp_path, "sql", query, "--format", "json"))
    errors = json.loads(row["facts"])["errors"]
    assert {item["workload"]: item["held_out"] for item in errors} == {"burst": False, "poisson_low": True}
    assert all(item["measured"] > 0 and item["predicted"] > 0 for item in errors)

    framework(
        tmp_path, "backend=twin", "model=tiny-llama", "gpu=cpu", "workload=fixed", "workload.num_requests=8"
    )
    query = "SELECT value FROM facts JOIN runs USING (run_id) WHERE backend = 'twin' AND name = 'profile'"
    assert json.loads(framework(tmp_path, "sql", query, "--format", "json")) == [{"value": file.stem}]
