"""A model of the user's own, from `--config-dir` or from a plugin, counts in every verb."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from framework_twin.physics.profile import PROFILE_FOLDER
from tests.framework_twin.own_model import CONF, NAME, OPTION, framework, query, write_own_model

RUN = ("backend=twin", f"model={OPTION}", "gpu=h100-64gb", "workload=fixed", "workload.num_requests=40")
ROW = {
    "run_id": "one",
    "model": NAME,
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
    "kv_cache_tokens": "100000",
    "quality_flags": "clean",
    "measured_itl_mean_ms": "12.0",
    "measured_total_tok_s": "900",
}


def write_table(folder: Path) -> None:
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ROW)
        writer.writeheader()
        writer.writerow(ROW)


def write_profile_of(folder: Path) -> None:
    profile = yaml.safe_load((PROFILE_FOLDER / "llama-3.1-8b_h100-64gb_v1.yaml").read_text())
    folder.mkdir(parents=True)
    profile.update(name="mine", models=[NAME])
    (folder / "mine.yaml").write_text(yaml.safe_dump(profile))


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an own model, a profile of it, a table of measured runs, and a study that ran."""
    folder = tmp_path_factory.mktemp("studied")
    write_own_model(folder / "conf")
    write_profile_of(folder / "outputs" / "profiles")
    write_table(folder)
    framework(folder, *CONF, *RUN, "backend.max_num_seqs=4,6,8,12,16,20,24,32", "-m")
    return folder


@pytest.fixture
def plugin(tmp_path: Path) -> dict[str, str]:
    """A plugin whose `conf/`, given as a package, holds the model; returns the environment that installs it."""
    site = tmp_path / "site"
    write_own_model(site / "acme" / "conf")
    (site / "acme" / "__init__.py").touch()
    (site / "acme" / "plugin.py").write_text(
        "from framework.hookspecs import hookimpl\n\n"
        "@hookimpl\ndef config_search_path():\n    return 'pkg://acme.conf'\n"
    )
    info = site / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[framework.plugins]\nacme = acme.plugin\n")
    return {"PYTHONPATH": str(site)}


@pytest.mark.slow
def test_a_profile_of_an_own_model_is_taken(studied: Path) -> None:
    found = query(studied, "SELECT DISTINCT name, value FROM facts WHERE name IN ('profile', 'calibrated')")
    assert {row["name"]: row["value"] for row in found} == {"profile": "mine", "calibrated": "true"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["plugins"], OPTION),
        (["doctor"], "mine"),
        (["validate", "table.csv"], "1 "),
        (["calibrate", "table.csv", "--out", "fitted"], f"{NAME}_h100-64gb_v1"),
        (["report"], "reports"),
        (["predict", "total_tok_s", f"model={NAME}", "--grid", "max_num_seqs=6,12"], "total_tok_s"),
        (["compare", "adhoc", "adhoc"], "total_tok_s"),
        (
            ["guide", "total_tok_s", "backend.max_num_seqs=4,64,128", f"model={OPTION}", "gpu=h100-64gb"],
            "max_num_seqs",
        ),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_a_verb_knows_a_model_of_config_dir(studied: Path, words: list[str], shown: str) -> None:
    text = framework(studied, *words, *CONF)
    assert shown in text
    assert "unknown model" not in text


@pytest.mark.slow
def test_an_imported_run_of_an_own_model_has_the_size_of_its_cache(studied: Path) -> None:
    framework(studied, *CONF, "import", "serving", "table.csv", "--outputs", "imported")
    (found,) = query(studied, "SELECT value FROM metrics WHERE name = 'kv_cache_gib'", "imported")
    assert found["value"] == pytest.approx(100000 * 2 * 32 * 8 * 128 * 2 / 2**30)


@pytest.mark.slow
def test_calibrate_and_validate_know_a_model_of_a_plugin(tmp_path: Path, plugin: Mapping[str, str]) -> None:
    write_table(tmp_path)
    framework(tmp_path, "validate", "table.csv", "--out", "p.csv", **plugin)
    (predicted,) = csv.DictReader((tmp_path / "p.csv").open())
    assert float(predicted["predicted_itl_mean_ms"]) > 0
    framework(tmp_path, "calibrate", "table.csv", **plugin)
    (file,) = (tmp_path / "outputs" / "profiles").glob("*.yaml")
    assert yaml.safe_load(file.read_text())["models"] == [NAME]
    framework(tmp_path, *RUN, **plugin)
    (row,) = query(tmp_path, "SELECT value FROM facts WHERE name = 'calibrated'")
    assert row["value"] == "true"


@pytest.mark.slow
def test_the_processes_of_a_launcher_know_an_own_model(studied: Path) -> None:
    own = ("outputs_dir=parallel", "backend.profile_folder=outputs/profiles", "hydra/launcher=joblib")
    framework(studied, *CONF, *RUN, *own, "hydra.launcher.n_jobs=2", "backend.max_num_seqs=8,16", "-m")
    found = query(
        studied, "SELECT value, count(*) AS runs FROM facts WHERE name = 'profile' GROUP BY ALL", "parallel"
    )
    assert found == [{"value": "mine", "runs": 2}]


@pytest.mark.slow
def test_a_profile_does_not_stand_for_a_shape_that_was_changed_by_hand(studied: Path) -> None:
    framework(
        studied,
        *CONF,
        *RUN,
        "model.layers=31",
        "outputs_dir=changed",
        "backend.profile_folder=outputs/profiles",
    )
    (row,) = query(studied, "SELECT value FROM facts WHERE name = 'calibrated'", "changed")
    assert row["value"] == "false"


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    text = framework(tmp_path, "--config-dir", "nowhere", *RUN, ok=False)
    assert text.strip() == "error: --config-dir: no folder 'nowhere'"


def test_the_help_names_the_flag(tmp_path: Path) -> None:
    assert "--config-dir DIR" in framework(tmp_path, "--help")


@pytest.mark.slow
def test_the_twin_without_a_model_says_what_to_add(tmp_path: Path) -> None:
    text = framework(tmp_path, "backend=twin", "workload=sharegpt", ok=False)
    assert "model=NAME" in text
    assert "llama" in text


def test_a_study_of_another_field_has_no_model_and_no_gpu(tmp_path: Path) -> None:
    text = framework(tmp_path, "--cfg", "job")
    config = yaml.safe_load(text)
    assert config["model"]["name"] is None
    assert config["gpu"]["name"] is None
