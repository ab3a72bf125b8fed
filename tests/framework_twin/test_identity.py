"""What runs again, what is derived again, and what does neither, after an edit: through the command line.

Each test edits a copy of a plugin that stands first in the import path.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
STUDY = (
    "backend=twin",
    "model=opt-1.3b,mistral-7b",
    "gpu=h100-64gb",
    "workload=fixed",
    "workload.num_requests=16",
    "-m",
)
SKIPPED, REDERIVED = "0 run, 2 skipped as done, 0 failed", "0 run, 2 skipped as done (2 re-derived), 0 failed"

Edit = Callable[..., None]


class Study:
    """A store with two runs (one on a shipped profile, one without) and copies of plugins to edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.overlay = folder / "overlay"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.overlay), "COLUMNS": "200"}
        command = [sys.executable, "-m", "framework", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def sweep(self, *overrides: str) -> str:
        """Run the study; return its last line up to the command that it proposes."""
        done = self.run(*STUDY, *overrides)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1].removeprefix("adhoc: ").partition(" · ")[0]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text in a file of a plugin (`framework_twin/…`), once."""
        package = file.partition("/")[0]
        if not (self.overlay / package).exists():
            shutil.copytree(PLUGINS / package, self.overlay / package)
        edited = self.overlay / file
        text = edited.read_text()
        assert old in text, f"{file} has no {old!r}"
        edited.write_text(text.replace(old, new, 1))

    def ttft_ms(self) -> dict[str, float]:
        done = self.run("sql", "SELECT model, ttft_mean_ms FROM results", "--format", "json")
        return {row["model"]: row["ttft_mean_ms"] for row in json.loads(done.stdout)}

    def bundles(self) -> dict[str, str]:
        files = sorted(file for file in (self.folder / "outputs" / "runs").rglob("*") if file.is_file())
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert Study(folder).sweep() == "2 run, 0 skipped as done, 0 failed"
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Study:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return Study(tmp_path)


@pytest.mark.slow
def test_an_edited_metric_is_derived_again_and_never_mixed_with_the_old_one(study: Study) -> None:
    before, raw = study.ttft_ms(), study.bundles()
    study.edit(
        "framework_serving/metrics/request_times.py",
        "return self.first_token_s - ",
        "return 1e3 * (self.first_token_s) - 1e3 * ",
    )
    assert study.sweep() == REDERIVED
    after = study.ttft_ms()
    assert after == pytest.approx({model: 1e3 * value for model, value in before.items()})
    assert study.bundles() == raw
    assert study.sweep() == SKIPPED
    assert study.run("ingest", "outputs", "--rebuild").returncode == 0
    assert study.ttft_ms() == after
    mixed = study.run("sql", "SELECT * FROM results")
    assert "definition" not in mixed.stdout + mixed.stderr


@pytest.mark.slow
def test_a_comment_a_report_and_a_verb_change_neither_runs_nor_metrics(study: Study) -> None:
    study.edit("framework_twin/server.py", "from __future__", "# a comment\n\nfrom __future__")
    study.edit("framework_twin/physics/roofline.py", '"""', '"""Other words. ')
    study.edit(
        "framework_twin/validation/validate.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nMORE = 1",
    )
    study.edit(
        "framework_twin/verbs.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nMORE = 1",
    )
    study.edit(
        "framework_serving/report/charts.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nMORE = 1",
    )
    study.edit(
        "framework_serving/metrics/request_times.py",
        '"""Arrival to first token."""',
        '"""TTFT."""  # seconds',
    )
    assert study.sweep() == SKIPPED


@pytest.mark.slow
def test_changed_physics_run_again(study: Study) -> None:
    study.edit(
        "framework_twin/physics/engine_memory.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nMORE = 1",
    )
    assert study.sweep() == "2 run, 0 skipped as done, 0 failed"


@pytest.mark.slow
def test_a_changed_model_shape_runs_again(study: Study) -> None:
    study.edit(
        "framework_serving/hardware/model_shape.py",
        "from __future__ import annotations",
        "from __future__ import annotations\nMORE = 1",
    )
    assert study.sweep() == "2 run, 0 skipped as done, 0 failed"


@pytest.mark.slow
def test_another_content_of_a_profile_runs_again_only_where_it_is_used(study: Study) -> None:
    profile = "framework_twin/profiles/opt-1.3b_h100-64gb_v0.yaml"
    study.edit(profile, "coefficients:", "# the same coefficients\ncoefficients:")
    assert study.sweep() == SKIPPED
    text = (study.overlay / profile).read_text().partition("coefficients:\n")[2].splitlines()[0]
    name, _, value = text.strip().partition(": ")
    study.edit(profile, text, f"  {name}: {1.01 * float(value) + 1e-9}")
    assert study.sweep() == "1 run, 1 skipped as done, 0 failed"


@pytest.mark.slow
def test_runs_of_two_definitions_are_flagged_until_they_are_derived_again(study: Study) -> None:
    study.edit(
        "framework_serving/metrics/request_times.py",
        "return self.first_token_s - ",
        "return 2 * self.first_token_s - 2 * ",
    )
    assert study.sweep("workload.num_requests=8") == "2 run, 0 skipped as done, 0 failed"
    for arguments in (("sql", "SELECT * FROM results"), ("compare", "adhoc", "adhoc")):
        warned = study.run(*arguments).stderr.strip().splitlines()
        (warning,) = [line for line in warned if line.startswith("warning: ")]
        assert warning.startswith("warning: 2 definitions of ")
        assert warning.count(" in 2 runs") == 2
        assert "`python -m framework derive`" in warning
    rows = json.loads(
        study.run(
            "sql", "SELECT definition, count(*) AS n FROM results GROUP BY ALL", "--format", "json"
        ).stdout
    )
    assert [row["n"] for row in rows] == [2, 2]
    derived = study.run("derive")
    assert (derived.returncode, derived.stdout) == (0, "2 runs re-derived, 2 up to date already\n")
    assert "definition" not in study.run("sql", "SELECT * FROM results").stdout


@pytest.mark.slow
def test_a_run_whose_trace_has_changed_keeps_its_metrics_and_derive_says_why(tmp_path: Path) -> None:
    study, trace = Study(tmp_path), tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,10,5\n")
    single = ("backend=twin", "model=mistral-7b", "gpu=l40s", "workload=trace", "workload.file=trace.csv")
    assert study.run(*single).returncode == 0
    before = study.ttft_ms()
    study.edit(
        "framework_serving/metrics/request_times.py",
        "return self.first_token_s - ",
        "return 2 * self.first_token_s - 2 * ",
    )
    trace.write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n1,10,6\n")
    refused = study.run("derive")
    assert refused.returncode == 1
    assert refused.stderr.startswith("1 run keeps metrics of an earlier definition: workload: its content")
    assert study.ttft_ms() == before
