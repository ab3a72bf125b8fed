"""Through the product's door: the study, the verb, the report; installed as a third party's plugin is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def framework(folder: Path, *words: str, ok: bool = True, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **variables},
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(folder: Path, sql: str) -> list[dict[str, object]]:
    found = json.loads(framework(folder, "sql", "--format", "json", sql))
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    framework(
        folder,
        "backend=ship_emissions",
        "workload=ais_synthetic",
        "workload.ships=40",
        "workload.days=0.5",
        "backend.imputer=none,type_mean,forest",
        "advisor=[register]",
        "model=none",
        "gpu=none",
        "-m",
    )
    return folder


def test_totals_carry_intervals_and_ships_without_records_are_not_zero(study: Path) -> None:
    found = rows(
        study,
        "SELECT p.value AS imputer, m.value, m.low, m.high FROM metrics m JOIN params p USING (run_id) "
        "WHERE m.name = 'co2_t' AND p.name = 'backend.imputer' ORDER BY imputer",
    )
    by = {row["imputer"]: row for row in found}
    assert by["none"]["low"] is None
    assert by["forest"]["low"] < by["forest"]["value"] < by["forest"]["high"]  # type: ignore[operator]
    unknown = rows(
        study,
        "SELECT count(*) AS n FROM ship_emissions s JOIN params p USING (run_id) WHERE p.name = 'backend.imputer' "
        "AND p.value = 'none' AND s.main_kw IS NULL AND s.co2_kg IS NOT NULL",
    )
    assert unknown[0]["n"] == 0


def test_the_advisor_names_an_imputer_and_the_ships_to_look_up(study: Path) -> None:
    advice = rows(study, "SELECT subject, recommendation, reason FROM advice WHERE advisor = 'register'")
    assert any("look up" in str(row["subject"]) for row in advice)
    assert any("Least error for a ship" in str(row["reason"]) for row in advice)


def test_the_report_shows_maps_totals_and_how_intervals_hold(study: Path) -> None:
    framework(study, "report", "--experiment", "adhoc")
    page = next((study / "outputs").rglob("*.html")).read_text()
    for words in (
        "Tracks by phase",
        "Emission map",
        "CO2 by type of ship",
        "Do the intervals hold?",
        "Imputation",
    ):
        assert words in page


def test_a_second_call_runs_nothing(study: Path) -> None:
    text = framework(
        study,
        "backend=ship_emissions",
        "workload=ais_synthetic",
        "workload.ships=40",
        "workload.days=0.5",
        "backend.imputer=none,type_mean,forest",
        "model=none",
        "gpu=none",
        "-m",
    )
    assert "3 skipped" in text


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("backend.imputer=best", "backend.imputer"),
        ("backend.features=all", "backend.features"),
        ("backend.level=2", "backend.level"),
        ("backend.fits=0", "backend.fits"),
        ("workload.ships=1", "workload.ships"),
        ("workload.gap_share=1", "workload.gap_share"),
        ("workload.missing.mechanism=magic", "workload.missing.mechanism"),
        ("workload.missing.share=1.5", "workload.missing.share"),
        ("workload.shipz=3", "workload.shipz"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(tmp_path: Path, override: str, words: str) -> None:
    text = framework(
        tmp_path,
        "backend=ship_emissions",
        "workload=ais_synthetic",
        "model=none",
        "gpu=none",
        override,
        ok=False,
    )
    assert words in text
    assert "Traceback" not in text


def test_phases_of_a_run_without_samples_and_of_no_run_are_one_clear_line(study: Path) -> None:
    run = str(rows(study, "SELECT run_id FROM runs LIMIT 1")[0]["run_id"])
    assert "no series" in framework(study, "phases", run, ok=False)
    assert "no run 'x'" in framework(study, "phases", "x", ok=False)


def test_phases_are_found_in_the_samples_of_a_run_of_another_domain(tmp_path: Path) -> None:
    pytest.importorskip("ruptures")
    framework(
        tmp_path,
        "backend=twin",
        "model=opt-1.3b",
        "gpu=h100-64gb",
        "workload=sharegpt",
        "workload.num_requests=400",
        "backend.sample_period_s=0.1",
    )
    run = str(rows(tmp_path, "SELECT run_id FROM runs LIMIT 1")[0]["run_id"])
    text = framework(tmp_path, "phases", run, "--series", "running,waiting")
    assert "behaviour" in text
    framework(tmp_path, "report", "--experiment", "adhoc")
    assert "Phases of runs" in next((tmp_path / "outputs").rglob("*.html")).read_text()


def test_without_the_plugin_the_framework_is_whole_and_knows_nothing_of_ships(tmp_path: Path) -> None:
    others = {"FRAMEWORK_PLUGINS": "serving,twin,metrics,hadoop,vllm"}
    assert "ais_synthetic" not in framework(tmp_path, "plugins", **others)
    assert "unknown" in framework(tmp_path, "backend=ship_emissions", ok=False, **others)
    assert "ais_synthetic" in framework(tmp_path, "plugins")
