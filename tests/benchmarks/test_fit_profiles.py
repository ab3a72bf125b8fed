"""Shipped profiles can be fitted again, by the command that each names, and are compared with what is committed."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from framework_twin.physics.profile import named_profile, read_profile
from tests.support.published_runs import published_runs

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fit_profiles.py"
MODEL = "opt-1.3b"
NAME = f"{MODEL}_h100-64gb_v0"


def write_table(folder: Path, **changed: str) -> None:
    rows = [{**row, **changed} for row in published_runs() if row["model"] == MODEL]
    with gzip.open(folder / "serving_runs_calibration.csv.gz", "wt", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def fit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    given = [str(folder), "--only", NAME, "--into", str(folder), "--evaluations", "2", *words]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *given], capture_output=True, text=True, check=False, cwd=folder
    )


@pytest.mark.slow
def test_a_profile_is_fitted_again_to_the_same_and_other_data_are_named(tmp_path: Path) -> None:
    write_table(tmp_path)
    first = fit(tmp_path, "--no-cross-validation")
    assert first.returncode == 0, first.stderr
    record = read_profile(tmp_path / f"{NAME}.yaml").fit
    assert record.command.endswith(f"--only {NAME} --evaluations 2 --no-cross-validation")
    again = fit(tmp_path, "--check")
    assert (again.returncode, again.stderr) == (0, "")
    write_table(tmp_path, measured_itl_mean_ms="30")
    other = fit(tmp_path, "--check")
    assert other.returncode == 1
    assert f"{NAME}: data " in other.stderr
    assert f"committed {record.data_hash}" in other.stderr
    assert f"{NAME}: weights_s " in other.stderr or f"{NAME}: host_s " in other.stderr


@pytest.mark.parametrize("name", ["llama-2-7b_h100-64gb_v0-0.5"])
def test_a_profile_names_the_command_that_wrote_it_and_its_data(name: str) -> None:
    record = named_profile(name).fit
    assert record.command == f"python benchmarks/fit_profiles.py ../shared/data --only {name}"
    assert record.data_hash
