"""Imported results beside the twin: predicted on the requests that they list, or on the load that they state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework.cli.study_command import run_study
from framework.cli.verbs import run_verb
from framework.run.importing import import_files
from framework.store.database.reader import Store
from framework_twin.measured.stored_runs import stored_runs
from framework_twin.validation.run_by_run import beside
from framework_twin.validation.validate import validate_runs

SERVER = ("gpu=h100-80gb", "backend.engine_version=0.11")
LOAD = (
    *("workload=fixed", "workload.num_requests=60", "workload.lengths.input_tokens=300"),
    *("workload.lengths.output_tokens=40", "workload.arrivals.kind=poisson"),
)
CLIENTS_CLOCK_S = 1e6
"""What the clock of a client shows at the first arrival: a run's own begins there."""
SHAPE = "meta-llama/Llama-3.1-8B-Instruct"


def as_vllm_bench(requests: list[dict[str, Any]], rate: float, detailed: bool = True) -> dict[str, Any]:
    """Return what `vllm bench serve` would have written of these requests."""
    times = [
        (row["arrival_s"], row["first_token_s"], row["last_token_s"], row["output_tokens"])
        for row in requests
    ]
    ttfts = [first - sent for sent, first, _, _ in times]
    itls = [[(last - first) / (tokens - 1)] * (tokens - 1) for _, first, last, tokens in times]
    duration = max(last for _, _, last, _ in times)
    tokens = [sum(row[name] for row in requests) for name in ("input_tokens", "output_tokens")]
    gaps = [gap for gaps in itls for gap in gaps]
    found: dict[str, Any] = {
        "date": "20260101-000000",
        "backend": "vllm",
        "model_id": SHAPE,
        "num_prompts": len(requests),
        "request_rate": rate,
        "burstiness": 1.0,
        "max_concurrency": None,
        "duration": duration,
        "completed": len(requests),
        "failed": 0,
        "total_input_tokens": tokens[0],
        "total_output_tokens": tokens[1],
        "request_throughput": len(requests) / duration,
        "output_throughput": tokens[1] / duration,
        "total_token_throughput": sum(tokens) / duration,
        "mean_ttft_ms": 1e3 * sum(ttfts) / len(ttfts),
        "mean_itl_ms": 1e3 * sum(gaps) / len(gaps),
        "mean_e2el_ms": 1e3 * sum(last - sent for sent, _, last, _ in times) / len(times),
    }
    if detailed:
        found |= {
            "input_lens": [row["input_tokens"] for row in requests],
            "output_lens": [row["output_tokens"] for row in requests],
            "ttfts": ttfts,
            "itls": itls,
            "errors": [""] * len(requests),
            "start_times": [CLIENTS_CLOCK_S + row["arrival_s"] for row in requests],
        }
    return found


@pytest.mark.slow
def test_imported_runs_stand_beside_the_twin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the twin itself served, written as a load generator writes it, is predicted as it was."""
    monkeypatch.chdir(tmp_path)
    rates = "workload.arrivals.rate_rps=5,20"
    model = "model=llama-3.1-8b-instruct"
    assert run_study(["experiment=own", "backend=twin", model, *SERVER, *LOAD, rates, "-m"]) == 0
    store = Store("outputs")
    files = []
    for row in store.query(
        "SELECT run_id, value AS rate FROM params JOIN runs USING (run_id) WHERE name = 'workload.arrivals.rate_rps'"
    ).to_pylist():
        requests = store.query("SELECT * FROM requests WHERE run_id = ?", [row["run_id"]]).to_pylist()
        file = Path(f"rate{row['rate']}.json")
        file.write_text(json.dumps(as_vllm_bench(requests, float(row["rate"]))))
        files.append(str(file))
    store.close()
    assert import_files([*files, *SERVER], "outputs") == 0

    simulated, imported = (
        Store("outputs").rows(
            "SELECT arrival_s, first_token_s, last_token_s FROM requests JOIN runs USING (run_id) "
            "WHERE experiment = ? ORDER BY ALL",
            [experiment],
        )[1]
        for experiment in ("own", "import:vllm-bench")
    )
    assert np.array(imported) == pytest.approx(np.array(simulated), abs=1e-6)  # one clock

    runs, bad = stored_runs(Store("outputs"), "import:vllm-bench")
    assert bad == []
    assert all(run.workload is not None and run.clean for run in runs)
    lines = list(beside(runs, validate_runs(runs).rows))
    figures = {line[1] for line in lines}
    assert figures >= {"total_tok_s", "ttft_mean_ms", "itl_mean_ms", "requests_s", "e2e_mean_ms"}
    assert (
        max(abs(line[6]) for line in lines if line[1] in ("total_tok_s", "itl_mean_ms", "ttft_mean_ms")) < 1.0
    )

    assert run_verb(["validate", "import:vllm-bench"]) == 0
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run_verb(["compare", "import:vllm-bench", "twin"]) == 0
    shown = capsys.readouterr().out
    for run_id, name, *figures, _ in lines:
        assert any(line.split()[:2] == [run_id, name] for line in shown.splitlines())
        assert None not in figures or name == "completed"
    assert run_verb(["compare", "twin", runs[0].setup.run_id]) == 0  # either order, one run
    shown = capsys.readouterr().out
    assert runs[0].setup.run_id in shown
    assert runs[1].setup.run_id not in shown
    compared = Store("outputs").query(
        "SELECT DISTINCT point FROM compare('import:vllm-bench', 'own') "
        "WHERE kind = 'metric' AND name = 'total_tok_s'"
    )
    assert compared.num_rows == 2  # a point a rate


@pytest.mark.slow
def test_a_result_of_means_alone_is_predicted_from_its_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "arrival_s": 0.0,
        "first_token_s": 0.02,
        "last_token_s": 0.2,
        "input_tokens": 100,
        "output_tokens": 20,
    }
    file = tmp_path / "result.json"
    file.write_text(json.dumps(as_vllm_bench([row] * 4, 4.0, detailed=False)))
    outputs = str(tmp_path / "outputs")
    assert import_files([str(file), *SERVER], outputs) == 0
    (run,), bad = stored_runs(Store(outputs), "import:vllm-bench")
    assert bad == []
    setup = run.setup
    assert (setup.arrival, setup.num_prompts, setup.offered_rps) == ("poisson", 4, 4.0)
    assert (setup.model, setup.gpu) == ("llama-3.1-8b-instruct", "H100-80GB")
    # a server of vLLM 0.11 on a large board, where nothing else is said
    assert (setup.max_num_seqs, setup.max_num_batched_tokens) == (1024, 8192)
    assert run_verb(["validate", "import:vllm-bench", "--outputs", outputs]) == 0
    assert "Measured and predicted" in capsys.readouterr().out


def test_what_the_file_does_not_say_and_a_prediction_needs_is_named(tmp_path: Path) -> None:
    row = {
        "arrival_s": 0.0,
        "first_token_s": 0.02,
        "last_token_s": 0.2,
        "input_tokens": 100,
        "output_tokens": 20,
    }
    file = tmp_path / "result.json"
    file.write_text(json.dumps(as_vllm_bench([row] * 4, 4.0, detailed=False)))
    outputs = str(tmp_path / "outputs")
    import_files([str(file)], outputs)
    runs, (bad,) = stored_runs(Store(outputs), "import:vllm-bench")
    assert runs == []
    assert bad.reason == "gpu: not in the imported file; import it with gpu=NAME"


def test_a_closed_loop_is_predicted_with_as_many_users(tmp_path: Path) -> None:
    row = {
        "arrival_s": 0.0,
        "first_token_s": 0.02,
        "last_token_s": 0.2,
        "input_tokens": 100,
        "output_tokens": 20,
    }
    file = tmp_path / "result.json"
    found = as_vllm_bench([row] * 4, 4.0) | {"request_rate": "inf", "max_concurrency": 2}
    file.write_text(json.dumps(found))
    outputs = str(tmp_path / "outputs")
    import_files([str(file), *SERVER], outputs)
    (run,), _ = stored_runs(Store(outputs), "import:vllm-bench")
    assert (run.setup.arrival, run.setup.concurrency) == ("concurrency", 2)
    assert run.workload is not None
    assert run.workload.facts["concurrency"] == 2
