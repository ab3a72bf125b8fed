"""Whole runs with the machine's collectors, in a process of their own: whatever a sensor does, the run finishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration
ALL = "metrics=[nvml,energy,host]"


def _framework(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )


def _sql(folder: Path, query: str) -> list[dict[str, Any]]:
    done = _framework(folder, "sql", query, "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert isinstance(rows, list)
    return rows


def _run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    study = ("backend=twin", "model=opt-1.3b", "gpu=h100-64gb", "workload=fixed", "workload.num_requests=20")
    return _framework(folder, *study, "progress=false", *overrides)


@pytest.mark.parametrize(
    ("lines", "metric", "reason"),
    [
        (None, "gpu_util_mean_pct", "no NVML library on this machine"),
        (["error Init 9"], "gpu_util_mean_pct", "the NVIDIA driver is not loaded"),
        (["crash DeviceGetCount"], "gpu_util_mean_pct", "ended by SIGABRT"),
        (["hang DeviceGetUtilizationRates 2"], "gpu_util_mean_pct", "the sensors stopped answering"),
        (["crash DeviceGetUtilizationRates 2"], "gpu_util_mean_pct", "ended by SIGABRT"),
        (["garbage 1"], "gpu_power_peak_w", "the sensor returned"),
        (["error DeviceGetClockInfo 3"], "gpu_sm_clock_mean_mhz", "not supported by this GPU"),
    ],
)
def test_the_run_finishes_and_the_metric_is_absent_with_the_reason(
    tmp_path: Path, fake_nvml: Callable[..., None], lines: list[str] | None, metric: str, reason: str
) -> None:
    if lines is not None:
        fake_nvml(*lines)
    done = _run(tmp_path, ALL, "metrics.nvml.period_s=0.01")
    assert done.returncode == 0, done.stderr
    rows = _sql(
        tmp_path,
        f"SELECT status, value, reason FROM metrics JOIN runs USING (run_id) WHERE name = '{metric}'",
    )
    assert [row["status"] for row in rows] == ["done"]
    assert rows[0]["value"] is None
    assert reason in rows[0]["reason"]


def test_a_simulated_run_keeps_its_own_power_and_gets_the_machines_samples(
    tmp_path: Path, fake_nvml: Callable[..., None]
) -> None:
    fake_nvml("power_w 77")
    assert _run(tmp_path, ALL).returncode == 0
    rows = _sql(
        tmp_path, "SELECT name, value, source FROM metrics WHERE name IN ('energy_j', 'gpu_power_peak_w')"
    )
    found = {row["name"]: row for row in rows}
    assert "twin" in found["energy_j"]["source"]
    assert found["gpu_power_peak_w"]["value"] == 77
    assert _sql(tmp_path, "SELECT count(*) AS n FROM samples WHERE name = 'gpu_sm_clock_mhz'")[0]["n"] >= 2
    assert _sql(tmp_path, "SELECT count(*) AS n FROM host_processes")[0]["n"] >= 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metrics.nvml.perod_s=1", "did you mean 'metrics.nvml.period_s'"),
        ("metrics.nvml.period_s=0", "metrics.nvml.period_s"),
        ("metrics.energy.idle_s=100", "metrics.energy.idle_s"),
        ("metrics.nvml.period_s=often", "period_s"),
    ],
)
def test_a_bad_setting_is_one_line_before_anything_starts(
    tmp_path: Path, override: str, message: str
) -> None:
    done = _run(tmp_path, ALL, override)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_recorded_series_is_imported_once(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("time_s,gpu_power_w\n" + "".join(f"{t},100\n" for t in range(20)))
    for expected in ("1 runs imported", "0 runs imported"):
        done = _framework(tmp_path, "import", "gpu-series", "one.csv")
        assert done.returncode == 0
        assert expected in done.stdout + done.stderr
    rows = _sql(tmp_path, "SELECT value FROM metrics WHERE name = 'energy_j'")
    assert [row["value"] for row in rows] == [1900]
