"""`advise` over several loads: each has an answer of its own, and its command runs the same again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from framework.cli.python_interface import run
from framework.cli.verbs import run_verb
from framework.store.database.reader import Store

pytestmark = pytest.mark.slow


def test_each_load_is_answered_and_its_command_runs_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(
        *("backend=twin", "model=llama-3.1-8b", "gpu=h100-80gb", "workload=sharegpt_llama", "progress=false"),
        *("workload.num_requests=40", "workload.arrivals.kind=poisson", "workload.arrivals.rate_rps=4,64"),
        *("backend.max_num_seqs=2,64", "-m"),
    )
    capsys.readouterr()
    assert run_verb(["advise", "--maximise", "output_tok_s", "--slo", "ttft_p99_ms=100000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if ": use " in line]
    assert [head.partition(":")[0] for head in heads] == [
        "sharegpt_llama, rate_rps=4.0",
        "sharegpt_llama, rate_rps=64.0",
    ]
    assert heads[1].endswith("use max_num_seqs=64")
    count = "SELECT count(*) FROM runs"
    before = Store("outputs").rows(count)[1]
    for line in lines:
        if line.startswith("  run it  "):
            run(*shlex.split(line.partition("python -m framework ")[2]), "progress=false")
    assert Store("outputs").rows(count)[1] == before == [(4,)]
