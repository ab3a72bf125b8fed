"""Traces are an axis like any other, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.cli.study_command import run_study
from framework.errors import ConfigError
from framework.store.database.reader import Store

ONE = "arrival_s,input_tokens,output_tokens\n0,100,10\n"
MOONCAKE = '{"timestamp": 0, "input_length": 374, "output_length": 44, "hash_ids": [0]}\n'
SERVER = ("model=llama-3.1-8b", "gpu=h100-80gb", "-m")


def totals(outputs: Path) -> list[tuple[str, str, str]]:
    rows = Store(str(outputs)).query(
        "SELECT p.value AS file, w.value AS name, f.value AS tokens FROM params p JOIN params w USING (run_id) "
        "JOIN facts f USING (run_id) WHERE p.name = 'workload.file' AND w.name = 'workload.name' "
        "AND f.name = 'workload.input_tokens_mean' ORDER BY 1, 2"
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


@pytest.mark.slow
def test_files_and_kinds_of_traces_are_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.csv").write_text(ONE)
    Path("two.csv").write_text(ONE.replace("100", "200"))
    assert run_study(["workload=trace", "workload.file=one.csv,two.csv", *SERVER]) == 0
    assert [(file, float(tokens)) for file, _, tokens in totals(Path("outputs"))] == [
        ("one.csv", 100.0),
        ("two.csv", 200.0),
    ]
    Path("m.jsonl").write_text(MOONCAKE)
    assert run_study(["workload=trace,trace_mooncake", "workload.file=m.jsonl", *SERVER]) == 0
    assert [(file, name) for file, name, _ in totals(Path("outputs"))][:2] == [
        ("m.jsonl", "trace"),
        ("m.jsonl", "trace_mooncake"),
    ]
    with pytest.raises(ConfigError, match=r"workload\.file"):
        run_study(["workload=trace", "backend.max_num_seqs=1,2", *SERVER])
