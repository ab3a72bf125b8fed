"""The experiment itself, on a few points: fronts of its report and by SQL, through the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framework.report.scope import select_runs
from framework.store.database.reader import Store
from framework_serving.fronts.front_points import FRONTS, fronts
from framework_serving.fronts.front_report import front_section
from framework_serving.report.charts import Style
from framework_serving.sweeps.sweep_points import curves, load_points


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", "+experiment=slm_pareto", "progress=false", *overrides]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.slow
def test_fronts_of_the_study_agree_between_report_and_sql(tmp_path: Path) -> None:
    done = run(tmp_path, "model=opt-125m,opt-1.3b", "scale.axis_points=3", "workload.num_requests=200")
    assert done.returncode == 0, done.stderr
    outputs = tmp_path / "outputs"
    store = Store(outputs)
    points = load_points(store, select_runs(store, outputs, "slm_pareto").scope.run_ids)
    assert {point.model for point in points} == {"opt-125m", "opt-1.3b"}
    for objectives in FRONTS:
        by_python = {
            run_id
            for front in fronts(points, objectives)
            for point in front.points
            for run_id in point.run_ids
        }
        names = [objective.metric for objective in objectives]
        by_sql = store.query(
            "SELECT run_id FROM serving_front(objectives := ?, experiment := 'slm_pareto')", [names]
        )
        assert by_python == set(by_sql["run_id"].to_pylist())
        assert by_python
    section = front_section(points, Style.of(curves(points)))
    assert section is not None
    assert [block.title for block in section.blocks if not isinstance(block, str)][:3] == [
        "Pareto front: tok/s and ITL",
        "Pareto front: tok/s and J/token",
        "Pareto front: tok/s, ITL and J/token",
    ]


@pytest.mark.slow
def test_the_study_composes_for_the_real_engine_with_its_collectors(tmp_path: Path) -> None:
    done = run(tmp_path, "backend=vllm", "metrics=[nvml,energy]", "scale=toy", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "EnergyCollector" in done.stdout
