"""`predict` starts from the twin: the examples of its help work, and a model that was never run is simulated."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

pytest.importorskip("threadpoolctl")

from framework.cli.python_interface import run
from framework.cli.verbs import build_app, run_verb
from framework.store.database.reader import Store

pytestmark = pytest.mark.slow

STUDY = (
    "backend=twin", "gpu=h100-64gb", "workload=sharegpt", "workload.num_requests=60", "progress=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("law") / "outputs"
    run(*STUDY, "model=opt-1.3b,opt-2.7b", "backend.max_num_seqs=8,16,32,64", f"outputs_dir={folder}", "-m")
    return folder


def test_the_examples_of_the_help_work(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb = getattr(typer.main.get_command(build_app()), "commands", {})["predict"]
    examples = re.findall(r"python -m framework (predict .*)", verb.help)
    assert examples
    for example in examples:
        assert run_verb([*shlex.split(example), "--outputs", str(store)]) == 0
        assert "predicted from twin and 8 runs" in capsys.readouterr().out


def test_a_model_that_was_never_run_gets_the_value_that_its_run_would_have(store: Path) -> None:
    assert (
        run_verb(["predict", "total_tok_s", "model=opt-6.7b", "max_num_seqs=48", "--outputs", str(store)])
        == 0
    )
    ((value, low, high, method),) = Store(store).rows(
        "SELECT predicted, low, high, method FROM predictions WHERE config LIKE '%opt-6.7b%'"
    )[1]
    assert method == "law, new model"
    assert low < value < high
    own = run(*STUDY, "model=opt-6.7b", "backend.max_num_seqs=48", f"outputs_dir={store}")
    assert own.results().column("total_tok_s").to_pylist() == [pytest.approx(value)]


def test_a_gpu_that_all_runs_lack_is_simulated_too(store: Path) -> None:
    assert run_verb(["predict", "itl_mean_ms", "model=opt-1.3b", "gpu=b200", "--outputs", str(store)]) == 0
    ((method, config),) = Store(store).rows(
        "SELECT method, config FROM predictions WHERE config ILIKE '%b200%'"
    )[1]
    assert method == "law, new gpu"
    assert '"gpu.name":"B200"' in config.replace(" ", "")
