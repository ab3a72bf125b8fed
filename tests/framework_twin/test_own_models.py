"""A model of the user's own counts everywhere, and advice that is followed gives what it predicted."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.configuration.resources import conf_dir
from framework_twin.physics.profile import PROFILE_FOLDER

MINE = "my-llama"


def framework(folder: Path, *words: str, ok: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def query(folder: Path, sql: str) -> list[dict[str, Any]]:
    rows = json.loads(framework(folder, "sql", "--format", "json", sql))
    assert isinstance(rows, list)
    return rows


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with `conf/model/my-llama.yaml`, a model that no shipped file knows."""
    shape = yaml.safe_load((conf_dir() / "model" / "llama-3.1-8b.yaml").read_text())
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / f"{MINE}.yaml").write_text(yaml.safe_dump({**shape, "name": MINE}))
    return tmp_path


RUN = ("backend=twin", f"model={MINE}", "gpu=h100-64gb", "workload=fixed", "workload.num_requests=40")
CONF = ("--config-dir", "conf")


def test_a_profile_of_an_own_model_is_taken(mine: Path) -> None:
    profile = yaml.safe_load((PROFILE_FOLDER / "llama-3.1-8b_h100-64gb_v1.yaml").read_text())
    folder = mine / "outputs" / "profiles"
    folder.mkdir(parents=True)
    profile.update(name="mine", models=[MINE])
    (folder / "mine.yaml").write_text(yaml.safe_dump(profile))
    framework(mine, *CONF, *RUN)
    facts = {row["name"]: row["value"] for row in query(mine, "SELECT name, value FROM facts")}
    assert (facts["profile"], facts["calibrated"]) == ("mine", "true")


def test_a_profile_does_not_stand_for_a_shape_that_was_changed_by_hand(mine: Path) -> None:
    framework(
        mine,
        *CONF,
        "backend=twin",
        "model=llama-3.1-8b",
        "gpu=h100-64gb",
        "workload=fixed",
        "model.layers=31",
    )
    facts = {row["name"]: row["value"] for row in query(mine, "SELECT name, value FROM facts")}
    assert facts["calibrated"] == "false"


def test_calibrate_and_validate_know_an_own_model_wherever_the_flag_stands(mine: Path) -> None:
    row = {
        "run_id": "one",
        "model": MINE,
        "gpu": "H100-64GB",
        "engine_generation": "v1",
        "arrival": "burst",
        "num_prompts": "40",
        "input_tokens_mean": "100",
        "output_tokens_mean": "50",
        "length_distribution": "fixed",
        "max_num_seqs": "8",
        "max_num_batched_tokens": "2048",
        "max_model_len": "4096",
        "quality_flags": "clean",
        "measured_itl_mean_ms": "12.0",
        "measured_total_tok_s": "900",
    }
    with (mine / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row)
    framework(mine, *CONF, "validate", "table.csv", "--out", "p.csv")
    (predicted,) = csv.DictReader((mine / "p.csv").open())
    assert float(predicted["predicted_itl_mean_ms"]) > 0
    framework(mine, "calibrate", "table.csv", "--out", "profiles", *CONF)
    (file,) = (mine / "profiles").glob("*.yaml")
    assert yaml.safe_load(file.read_text())["models"] == [MINE]


def test_a_folder_that_is_not_there_is_one_clear_line(mine: Path) -> None:
    assert (
        framework(mine, "--config-dir", "nowhere", *RUN, ok=False).strip()
        == "error: --config-dir: no folder 'nowhere'"
    )


def advice_followed(folder: Path, base: list[str], sweep: list[str]) -> tuple[dict[str, Any], float]:
    """Run a sweep with the advisor, then what it advises; return the advice and the throughput of that run."""
    framework(folder, *base, "advisor=[replication]", *sweep, "-m")
    (advice,) = query(
        folder, "SELECT recommendation, predicted, facts FROM advice WHERE advisor = 'replication'"
    )
    recommendation = json.loads(advice["recommendation"])
    pasted = [f"{key}={value}" for key, value in recommendation.items()]
    framework(folder, *[word for word in base if word.partition("=")[0] not in recommendation], *pasted)
    replicas = recommendation["backend.replicas"]
    sql = (
        "SELECT m.value AS tok FROM metrics m JOIN params p USING (run_id) JOIN runs r USING (run_id) WHERE "
        f"m.name = 'total_tok_s' AND p.name = 'backend.replicas' AND p.number = {replicas} ORDER BY r.started_at DESC"
    )
    return advice, query(folder, sql)[0]["tok"]


SWEEP = ["backend.max_num_seqs=32,64,128,256"]
PLAIN = ["backend=twin", "model=opt-1.3b", "gpu=h100-64gb", "workload=sharegpt", "workload.num_requests=300"]


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["backend.profile=roofline", "backend.engine=v0"],
        ["backend.router=least_load", "gpu.memory_gib=40"],
        ["model.layers=20", "backend.gpu_memory_utilization=0.8"],
    ],
)
def test_following_advice_on_replicas_gives_the_number_that_it_predicted(
    tmp_path: Path, more: list[str]
) -> None:
    advice, measured = advice_followed(tmp_path, [*PLAIN, *more], SWEEP)
    assert measured == advice["predicted"]


def test_advice_on_an_own_model_is_simulated_with_that_model(mine: Path) -> None:
    base = [*CONF, *RUN[:-1], "workload.num_requests=300", "outputs_dir=outputs"]
    framework(mine, *base, "advisor=[replication]", *SWEEP, "gpu.memory_gib=200", "-m")
    (advice,) = query(mine, "SELECT recommendation, predicted FROM advice WHERE advisor = 'replication'")
    recommendation = json.loads(advice["recommendation"])
    assert recommendation["model"] == MINE
    pasted = [f"{key}={value}" for key, value in recommendation.items()]
    framework(mine, *CONF, "outputs_dir=again", "gpu.memory_gib=200", *pasted)
    (found,) = json.loads(
        framework(mine, "sql", "--outputs", "again", "--format", "json", "SELECT total_tok_s FROM results")
    )
    assert found["total_tok_s"] == advice["predicted"]


def test_the_twin_without_a_model_says_what_to_add(tmp_path: Path) -> None:
    text = framework(tmp_path, "backend=twin", "workload=sharegpt", ok=False)
    assert "model=NAME" in text
    assert "llama" in text


def test_a_study_of_another_field_has_no_model_and_no_gpu(tmp_path: Path) -> None:
    text = framework(tmp_path, "--cfg", "job")
    config = yaml.safe_load(text)
    assert config["model"]["name"] is None
    assert config["gpu"]["name"] is None
