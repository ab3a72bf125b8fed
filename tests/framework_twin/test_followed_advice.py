"""Advice on the twin that is followed gives, to the digit, what it predicted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from framework.analysis.number_format import format_value
from framework.cli.study_command import run_study
from framework.configuration.search_path import CONFIG_DIR
from framework.store.database.reader import Store
from framework.sweep import session as sessions
from tests.framework_twin.own_model import CONF, NAME, OPTION, framework, query, write_own_model

PLAIN = ["model=opt-1.3b", "gpu=h100-64gb", "workload=sharegpt", "workload.num_requests=300"]
MINE = [
    f"model={OPTION}",
    "gpu=h100-64gb",
    "gpu.memory_gib=120",
    "workload=fixed",
    "workload.num_requests=300",
]
BATCHES = ["backend.max_num_seqs=32,64,128,256"]
ADVICE = (
    "SELECT DISTINCT advisor, recommendation, predicted FROM advice WHERE predicted IS NOT NULL ORDER BY ALL"
)
OWN_CLASS = """
from framework_serving.workloads.synthetic import SyntheticWorkload


class OtherSeeds(SyntheticWorkload):
    def build(self, seed):
        return super().build(2 * seed + 1)
"""
OWN_WORKLOAD = """
defaults: [sharegpt, _self_]
_target_: own_workload.OtherSeeds
name: of a third party
"""
Study = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose `conf/` has a model and a workload of its own, the latter built by a class of its own."""
    write_own_model(tmp_path / "conf")
    (tmp_path / "conf" / "workload").mkdir()
    (tmp_path / "conf" / "workload" / "other_seeds.yaml").write_text(OWN_WORKLOAD)
    (tmp_path / "own_workload.py").write_text(OWN_CLASS)
    return tmp_path


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Study]:
    """Run a study in this process, as `python -m framework --config-dir conf` does in the folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv(CONFIG_DIR, str(folder / "conf"))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.argv", ["framework"])

    def run(*overrides: str) -> None:
        GlobalHydra.instance().clear()
        assert run_study([*overrides, "progress=false"]) == 0

    yield run
    GlobalHydra.instance().clear()
    sessions.forget()


def pasted(study: list[str], recommendation: str) -> list[str]:
    """Return the command line of a study with what was advised in the place of its own values."""
    advised = json.loads(recommendation)
    kept = [word for word in study if word.partition("=")[0] not in advised]
    return [*kept, *(f"{key}={value}" for key, value in advised.items())]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        [*PLAIN, *BATCHES],
        [*PLAIN, *BATCHES, "backend.router=least_load", "gpu.memory_gib=40"],
        [*PLAIN, *BATCHES, "model.layers=20", "backend.gpu_memory_utilization=0.8"],
        [*MINE, *BATCHES, "backend=twin_v0"],
        [*MINE, *BATCHES, "backend.gpu_memory_utilization=0.6,0.9"],
        [*MINE, *BATCHES, "backend.engine=v0,v1", "backend.max_model_len=8192"],
        [*PLAIN[:2], *BATCHES, "workload=other_seeds", "workload.num_requests=300"],
    ],
    ids=["default", "router", "other shape", "engine file", "varied memory", "varied engine", "own workload"],
)
def test_following_advice_gives_the_number_that_it_predicted(study: Study, settings: list[str]) -> None:
    study(*settings, "advisor=[bca,replication]", "-m")
    advice = Store("outputs").query(ADVICE).to_pylist()
    assert {item["advisor"] for item in advice} == {"bca", "replication"}
    for number, item in enumerate(advice):
        study(*pasted(settings, item["recommendation"]), f"outputs_dir=again{number}")
        found = Store(f"again{number}").query("SELECT total_tok_s FROM results").to_pylist()
        assert found == [{"total_tok_s": item["predicted"]}], item["recommendation"]


@pytest.mark.slow
def test_the_commands_of_a_terminal_do_the_same(folder: Path) -> None:
    settings = [*PLAIN, *BATCHES, "backend.profile=roofline", "backend.engine=v0"]
    framework(folder, *settings, "advisor=[replication]", "-m")
    (item,) = query(folder, ADVICE)
    said = framework(folder, "advise")
    (line,) = [line for line in said.splitlines() if line.startswith("  run it  python -m framework ")]
    framework(folder, *shlex.split(line)[5:], "outputs_dir=again")
    again = framework(folder, "advise", "--run")
    assert f"advised for total_tok_s {format_value(item['predicted'])}, it gave " in again
    assert len(query(folder, "SELECT run_id FROM runs WHERE repeat = 1")) == 1
    assert query(folder, "SELECT total_tok_s FROM results", "again") == [{"total_tok_s": item["predicted"]}]


@pytest.mark.slow
def test_advice_names_options_as_a_command_line_does(folder: Path) -> None:
    framework(folder, *CONF, *MINE, *BATCHES, "backend=twin_v0", "advisor=[bca]", "-m")
    (row,) = query(folder, "SELECT DISTINCT subject, overrides FROM advice LIMIT 1")
    assert NAME in row["subject"]
    assert {f"model={OPTION}", "backend=twin_v0"} <= set(row["overrides"].split())


ADAPTERS = [
    "model=llama-3.1-8b",
    "gpu=h100-64gb",
    "workload=adapters",
    "workload.rates_rps=[0.4,0.05,0.025]",
    "workload.ranks=[8,8,32]",
    "workload.duration_s=600",
    "backend.max_num_seqs=2048",
    "backend.max_num_batched_tokens=2048",
    "backend.max_model_len=2048",
]


@pytest.mark.slow
@pytest.mark.parametrize("further", [[], ["workload.arrivals.kind=gamma", "workload.arrivals.cv=3"]])
def test_the_advised_adapters_and_slots_are_served_as_predicted_and_more_starve_in_some_seed(
    study: Study, further: list[str]
) -> None:
    settings = [*ADAPTERS, *further]
    study(*settings, "workload.n_adapters=64,96", "backend.max_loras=32", "advisor=[adapter_caching]", "-m")
    (item,) = Store("outputs").query(ADVICE).to_pylist()
    advised = json.loads(item["recommendation"])
    study(*pasted(settings, item["recommendation"]), "outputs_dir=again")
    found = Store("again").query("SELECT total_tok_s, starved FROM results").to_pylist()
    assert found == [{"total_tok_s": item["predicted"], "starved": 0.0}]
    (facts,) = Store("outputs").query("SELECT facts FROM advice").to_pylist()
    more = json.loads(facts["facts"])["next_adapters_tried"]
    assert advised["workload.n_adapters"] < more <= 1.05 * advised["workload.n_adapters"] + 1
    axes = ["backend.max_loras=16,24,32,48,64", "workload.seed=0,1,2,3,4", f"workload.n_adapters={more}"]
    study(*settings, *axes, "outputs_dir=more", "-m")
    worst = (
        Store("more").query("SELECT max_loras, max(starved) AS starved FROM results GROUP BY ALL").to_pylist()
    )
    assert {row["starved"] for row in worst} == {1.0}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("further", "said"),
    [
        (
            ["workload.max_requests=6"],
            "this load ends at a number of requests (scale, num_requests), which more than 8 adapters share",
        ),
        ([], "no more than 16 adapters were tried (max_adapters): try more"),
        (
            ["advisor.adapter_caching.simulate_with=null"],
            "no more than 4 slots were tried: try more; no more than 8 adapters ran: try more",
        ),
    ],
)
def test_advice_at_the_edge_of_what_was_tried_says_so(study: Study, further: list[str], said: str) -> None:
    study(
        *[word for word in ADAPTERS if "duration_s" not in word],
        "workload.duration_s=120",
        "workload.n_adapters=8",
        "backend.max_loras=2,4",
        "advisor=[adapter_caching]",
        "advisor.adapter_caching.max_adapters=16",
        "advisor.adapter_caching.seeds=1",
        *further,
        "-m",
    )
    (item,) = Store("outputs").query("SELECT recommendation, reason FROM advice").to_pylist()
    assert f"; the best is at the edge: {said}" in item["reason"]
    most = 16 if "max_adapters" in said else 8
    assert json.loads(item["recommendation"])["workload.n_adapters"] == most


@pytest.mark.slow
def test_a_population_that_no_slots_can_serve_is_advice_that_says_why(study: Study) -> None:
    study(
        *ADAPTERS,
        "workload.n_adapters=2,4",
        "backend.max_loras=2",
        "workload.rates_rps=[200]",
        "advisor=[adapter_caching]",
        "-m",
    )
    (item,) = Store("outputs").query("SELECT recommendation, predicted, reason FROM advice").to_pylist()
    assert (json.loads(item["recommendation"]), item["predicted"]) == ({}, None)
    assert item["reason"].startswith("not even one adapter is served: 1 slots: starves with 1 adapters")
