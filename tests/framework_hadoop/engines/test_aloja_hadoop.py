"""The experiment as a user runs it: one command, real MapReduce, tables at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework_hadoop.engines.toolchain import find_java, jars_folder

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def framework(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=500, check=False)


def test_a_sweep_over_knobs_ends_with_prediction_best_settings_and_fronts(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    try:
        find_java(None, "this test")
        jars_folder(None, "this test")
    except ConfigError as error:
        pytest.skip(str(error))
    done = framework(
        "+experiment=aloja_hadoop", "repeats=1", "workload.size=100KB", "backend.codec=none", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for title in ("held-out runs", "Best configurations", "terasort: cost and time"):
        assert title in done.stdout + done.stderr
    query = "SELECT count(*) AS runs, count(DISTINCT overrides) AS advice FROM results, advice"
    told = json.loads(framework("sql", query, "--format", "json", cwd=tmp_path).stdout)
    assert told == [{"runs": 36, "advice": told[0]["advice"]}]
    failed = framework(
        "sql", "SELECT * FROM checks WHERE verdict != 'pass'", "--format", "json", cwd=tmp_path
    )
    assert json.loads(failed.stdout) == []


def test_a_bad_knob_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    words = ("backend=hadoop", "workload=sort", "model=none", "gpu=none")
    for override, key in (
        ("backend.io_sort_mbb=1", "io_sort_mb"),
        ("backend.io_sort_mb=9999", "backend.io_sort_mb"),
    ):
        done = framework(*words, override, cwd=tmp_path)
        assert done.returncode == 2
        assert key in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    home = framework(*words, f"backend.hadoop_home={tmp_path}", cwd=tmp_path)
    assert home.returncode == 2
    assert "HADOOP_HOME" in home.stderr
    assert not (tmp_path / "outputs" / "runs").exists()
