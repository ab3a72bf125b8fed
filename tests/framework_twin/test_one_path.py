"""`validate` predicts what `backend=twin` reports: one simulated server, one set of metrics."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from framework.configuration.components import build_component
from framework.configuration.composition import compose
from framework.run.runner import execute
from framework_twin.measured import run_prediction
from framework_twin.measured.measured_runs import MeasuredRun, RunSetup
from framework_twin.measured.realise import realise
from framework_twin.measured.run_prediction import MEASURED_NAMES, predict_measured
from framework_twin.physics.profile import find_profile
from framework_twin.validation.validate import model_of

ROW = {
    "run_id": "one",
    "model": "llama-3.1-8b",
    "gpu": "H100-64GB",
    "engine_generation": "v1",
    "arrival": "burst",
    "num_prompts": "200",
    "input_tokens_mean": "242",
    "output_tokens_mean": "130",
    "length_distribution": "fixed",
    "max_num_seqs": "64",
    "max_num_batched_tokens": "2048",
    "max_model_len": "4096",
}
SAME_RUN = (
    "backend=twin model=llama-3.1-8b gpu=h100-64gb workload=fixed workload.num_requests=200 backend.max_num_seqs=64 "
    "workload.lengths.input_tokens=242 workload.lengths.output_tokens=130 backend.max_model_len=4096 "
    "backend.sample_period_s=null"
)


def framework(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "framework", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def reported(folder: Path, *words: str) -> dict[str, float]:
    """Run a study of one run and return its metrics."""
    framework(folder, *SAME_RUN.split(), *words)
    sql = "SELECT m.name, m.value FROM metrics m JOIN runs USING (run_id) WHERE value IS NOT NULL ORDER BY started_at"
    return {
        row["name"]: row["value"] for row in json.loads(framework(folder, "sql", "--format", "json", sql))
    }


@pytest.mark.slow
def test_validate_predicts_what_the_backend_reports(tmp_path: Path) -> None:
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ROW)
        writer.writeheader()
        writer.writerow(ROW)
    framework(tmp_path, "validate", "table.csv", "--out", "predicted.csv")
    (predicted,) = csv.DictReader((tmp_path / "predicted.csv").open())
    found = reported(tmp_path)
    names = {"ttft_median_ms": "ttft_p50_ms", "itl_median_ms": "itl_p50_ms"}
    compared = [
        (float(predicted[f"predicted_{name}"]), found[names.get(name, name)])
        for name in (
            "total_tok_s",
            "itl_mean_ms",
            "itl_median_ms",
            "ttft_mean_ms",
            "ttft_median_ms",
            "tpot_mean_ms",
            "kv_usage_peak",
            "running_mean",
            "running_peak",
            "power_mean_w",
        )
        if predicted.get(f"predicted_{name}")
    ]
    assert len(compared) >= 6
    for ours, theirs in compared:
        assert ours == pytest.approx(theirs, rel=2e-5)


V0 = (
    "model=opt-1.3b backend.engine=v0 backend.chunked_prefill=true backend.max_num_seqs=64 "
    "backend.max_num_batched_tokens=512 backend.max_model_len=2048 backend.kv_blocks=18552"
)
V1_ADAPTERS = (
    "model=llama-3.1-8b-instruct backend.engine=v1 backend.max_num_seqs=2048 backend.max_num_batched_tokens=2048 "
    "backend.max_model_len=131072 backend.kv_blocks=18500 backend.max_loras=16 backend.max_cpu_loras=16 "
    "backend.max_lora_rank=16 backend.adapters_preloaded=ADAPTERS_PRELOADED workload.columns.adapter=adapter_id "
    "workload.ranks=[8,8,8,8,8,8,8,8,16,16,16,16,16,16,16,16] workload.drain=false workload.window_end_s=300"
)


@pytest.mark.parametrize("preloaded", [False, True])
@pytest.mark.parametrize("row", ["fixed burst", "burst of ShareGPT", "adapters until a horizon"])
def test_validate_and_the_backend_agree_to_the_digit_on_the_same_requests(
    row: str,
    preloaded: bool,
    burst_setup: RunSetup,
    poisson_setup: RunSetup,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without what only a study that read gauges at intervals saw."""
    monkeypatch.setattr(run_prediction, "SCRAPE_PERIOD_S", {})
    setup, server = {
        "fixed burst": (burst_setup, V0),
        "burst of ShareGPT": (replace(burst_setup, length_distribution="sharegpt"), V0),
        "adapters until a horizon": (poisson_setup, V1_ADAPTERS),
    }[row]
    setup = replace(setup, adapters_preloaded=preloaded)
    asked = realise(setup, 0).tables["requests"]
    csv_of(asked, tmp_path / "asked.csv")
    config = compose(
        [
            *["backend=twin", "gpu=h100-64gb", "workload=trace", f"workload.file={tmp_path / 'asked.csv'}"],
            *server.replace("ADAPTERS_PRELOADED", str(preloaded)).split(),
            *["backend.sample_period_s=null", f"outputs_dir={tmp_path}"],
        ]
    )
    reported = execute(config).metrics
    sent = build_component(config, "workload").build(0)
    model = model_of(setup)
    predicted = predict_measured(MeasuredRun(setup, {}, None, (), workload=sent), model).values
    assert len(predicted) >= 15
    for name, value in predicted.items():
        if name != "running_mean":  # a table's mean counts idle times
            assert value == reported[MEASURED_NAMES[name]], name


def csv_of(requests: pa.Table, file: Path) -> None:
    """Write requests as a trace, from the first arrival; adapters by names that sort as their ids do."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arrival_s", "input_tokens", "output_tokens", "adapter_id"])
        for row in requests.to_pylist():
            owner = "" if row["adapter_id"] is None else f"{row['adapter_id']:02d}"
            writer.writerow([repr(row["arrival_s"]), row["input_tokens"], row["output_tokens"], owner])


@pytest.mark.slow
def test_the_front_end_is_a_setting_that_every_first_token_waits_for(tmp_path: Path) -> None:
    usual = reported(tmp_path)
    bare = reported(tmp_path, "backend.front_end_s=0")
    profile = find_profile("llama-3.1-8b", "H100-64GB", "v1")
    assert profile is not None
    front_end_ms = 1e3 * profile.front_end_s
    assert front_end_ms > 5.0
    assert usual["ttft_mean_ms"] - bare["ttft_mean_ms"] == pytest.approx(front_end_ms, abs=1e-6)
    assert usual["e2e_mean_ms"] - bare["e2e_mean_ms"] == pytest.approx(front_end_ms, abs=1e-6)
    assert usual["itl_mean_ms"] == bare["itl_mean_ms"]
    assert usual["total_tok_s"] == bare["total_tok_s"]


@pytest.mark.slow
def test_a_trace_that_shares_prefixes_is_faster_with_prefix_caching(tmp_path: Path) -> None:
    line = {"input_length": 2048, "output_length": 8, "hash_ids": [1, 2, 3, 4]}
    rows = [json.dumps({"timestamp": 3000 * place, **line}) for place in range(4)]
    (tmp_path / "moon.jsonl").write_text("\n".join(rows))
    found = {}
    for caching in ("true", "false"):
        folder = tmp_path / caching
        folder.mkdir()
        framework(
            folder,
            *["model=llama-3.1-8b", "gpu=h100-80gb", "backend=twin", "workload=trace_mooncake"],
            f"workload.file={tmp_path / 'moon.jsonl'}",
            f"backend.enable_prefix_caching={caching}",
            "backend.front_end_s=0.006",  # what a cache saves is the engine's time
        )
        sql = "SELECT * FROM results"
        (found[caching],) = json.loads(framework(folder, "sql", "--format", "json", sql))
    assert found["true"]["prefix_hit_share"] == pytest.approx(0.744, abs=0.001)
    assert found["false"].get("prefix_hit_share") is None
    assert found["true"]["ttft_p50_ms"] < 0.5 * found["false"]["ttft_p50_ms"]
