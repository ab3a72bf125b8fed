"""Learning how many adapters an engine serves, and asking for it, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.framework_twin.own_model import framework, query

pytestmark = pytest.mark.slow
ENGINE = ["model=llama-3.1-8b", "gpu=l4", "backend.max_num_seqs=256", "backend.max_model_len=2048"]
PLACED = [word for word in ENGINE if not word.startswith("gpu=")]
LEARN = ["learn-adapters", *ENGINE, "--workers", "1"]
STUDY = [*ENGINE, "workload=adapters", "workload.n_adapters=4,8", "backend.max_loras=4", "-m"]
LEARNED = ["advisor=[adapter_caching]", "advisor.adapter_caching.method=learned"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model learned from a dozen populations."""
    found = tmp_path_factory.mktemp("learned")
    told = framework(found, *LEARN, "--populations", "12", "--check", "1")
    assert "12 populations on Llama-3.1-8B on L4" in told or "12 populations on" in told
    assert "capacity = estimate ×" in told
    assert "capacities in their 90 % band" in told
    assert "rows" in (found / "outputs/adapter_capacity/tree.html").read_text()
    return found


def test_the_learned_answer_is_simulated_and_states_what_it_loses(folder: Path) -> None:
    framework(folder, *STUDY, *LEARNED)
    (row,) = query(folder, "SELECT recommendation, predicted, reason, facts FROM advice")
    facts = json.loads(row["facts"])
    assert facts["method"] == "learned"
    assert facts["simulated"] is True
    assert "learned from 12 simulated populations" in row["reason"]
    advised = json.loads(row["recommendation"])
    words = [f"{key}={value}" for key, value in advised.items() if key.startswith(("workload.", "backend."))]
    framework(folder, *ENGINE, "workload=adapters", *words, "outputs_dir=again")
    (run,) = query(folder, "SELECT total_tok_s, starved FROM results", "again")
    assert (run["total_tok_s"], run["starved"]) == (row["predicted"], 0.0)


def test_a_plan_is_simulated_written_and_changed_with_few_moves(folder: Path) -> None:
    rows = [f"a{number},{8 if number % 3 else 16},{0.004 * (1 + number % 5)}" for number in range(90)]
    (folder / "adapters.csv").write_text("\n".join(["adapter,rank,rate_rps", *rows, "idle,8,0"]))
    words = ["place", *PLACED, "--adapters", "adapters.csv", "--gpu", "l4=0.8"]
    told = framework(folder, *words, "--out", "deployment.yaml")
    assert "none starves" in told
    assert "1 adapters had no requests (idle)" in told
    assert "--enable-lora --max-loras" in told
    again = framework(folder, *words, "--current", "deployment.yaml")
    assert "0 of 91 adapters move; 0 GPUs more, 0 given up" in again
    (folder / "adapters.csv").write_text("\n".join(["adapter,rank,rate_rps", "new,8,0.01", *rows]))
    assert "new: new to GPU" in framework(folder, *words, "--current", "deployment.yaml")
    log = [f"{second},200,200,a{second % 60}" for second in range(600)]
    (folder / "log.csv").write_text("\n".join(["arrival_s,input_tokens,output_tokens,adapter", *log]))
    said = framework(
        folder, "advise", "--running", "deployment.yaml", "--log", "log.csv", "--out", "next.yaml"
    )
    assert "of 91 adapters move" in said
    assert "31 adapters had no requests (" in said
    assert "--enable-lora --max-loras" in said
    assert written(folder / "next.yaml") == written(folder / "deployment.yaml")
    assert "\n0 of 91 adapters move" in framework(
        folder, "advise", "--running", "next.yaml", "--log", "log.csv"
    )


def written(file: Path) -> dict[str, int]:
    """Return the ranks of the adapters in a deployment file, whichever GPU they are on."""
    gpus = yaml.safe_load(file.read_text())["gpus"]
    return {item["adapter"]: item["rank"] for gpu in gpus for item in gpu["adapters"]}


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("kind: [", ["--log", "l.csv"], "d.yaml: not readable"),
        ("model: m", ["--log", "l.csv"], "d.yaml: describes no deployment, it has no key 'kind'"),
        ("kind: trains", ["--log", "l.csv"], "d.yaml: kind 'trains' of deployment (known: adapters_on_gpus)"),
        ("kind: adapters_on_gpus", ["--log", "l.csv"], "d.yaml: not a deployment as `place --out` writes it"),
        ("kind: adapters_on_gpus", [], "give its load, either --log FILE or --metrics URL"),
    ],
)
def test_a_deployment_that_can_not_be_checked_is_one_clear_line(
    tmp_path: Path, text: str, words: list[str], said: str
) -> None:
    (tmp_path / "d.yaml").write_text(text)
    told = framework(tmp_path, "advise", "--running", "d.yaml", *words, ok=False)
    assert said in told
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpu", "l4"], "which adapters? give --adapters FILE"),
        (["workload=adapters"], "--gpu: name at least one type"),
        (["workload=adapters", "workload.rates_rps=[500]", "--gpu", "l4"], "times what one GPU (l4) serves"),
        (
            ["workload=adapters", "workload.ranks=[256]", "--gpu", "l4"],
            "its rank 256 is above those that were learned from (up to 64)",
        ),
        (["workload=adapters", "--gpu", "l4=cheap"], "must be NAME, NAME=COST or NAME=COST:NUMBER"),
    ],
)
def test_what_can_not_be_placed_is_one_clear_line(folder: Path, words: list[str], said: str) -> None:
    told = framework(folder, "place", *PLACED, *words, ok=False)
    assert said in told
    assert len(told.strip().splitlines()) == 1


def test_what_was_simulated_is_not_simulated_again(folder: Path) -> None:
    before = (folder / "outputs/adapter_capacity/populations.jsonl").read_text()
    framework(folder, *LEARN, "--populations", "12")
    assert (folder / "outputs/adapter_capacity/populations.jsonl").read_text() == before


def test_without_a_model_the_advisor_says_how_to_make_one(tmp_path: Path) -> None:
    told = framework(tmp_path, *STUDY, *LEARNED, "workload.duration_s=60")
    assert "make it: python -m framework learn-adapters" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gpu=l4"], "model: not chosen; add model=NAME"),
        ([*ENGINE, "--populations", "0"], "--populations"),
        (
            [
                "model=llama-3.1-8b",
                "gpu=l4",
                "backend.max_model_len=2048",
                "backend.gpu_memory_utilization=0.3",
            ],
            "serve adapters",
        ),
    ],
)
def test_an_engine_that_can_not_be_learned_is_one_clear_line(
    tmp_path: Path, words: list[str], said: str
) -> None:
    told = framework(tmp_path, "learn-adapters", *words, ok=False)
    assert said in told
    assert len(told.strip().splitlines()) == 1
