"""`validate` predicts what `backend=twin` reports: one simulated server, one set of metrics."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_front_end_is_a_setting_that_every_first_token_waits_for(tmp_path: Path) -> None:
    usual = reported(tmp_path)
    bare = reported(tmp_path, "backend.front_end_s=0")
    assert usual["ttft_mean_ms"] - bare["ttft_mean_ms"] == pytest.approx(6.0, abs=1e-6)
    assert usual["e2e_mean_ms"] - bare["e2e_mean_ms"] == pytest.approx(6.0, abs=1e-6)
    assert usual["itl_mean_ms"] == bare["itl_mean_ms"]
    assert usual["total_tok_s"] == bare["total_tok_s"]


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
        )
        sql = "SELECT * FROM results"
        (found[caching],) = json.loads(framework(folder, "sql", "--format", "json", sql))
    assert found["true"]["prefix_hit_share"] == pytest.approx(0.744, abs=0.001)
    assert found["false"].get("prefix_hit_share") is None
    assert found["true"]["ttft_p50_ms"] < 0.4 * found["false"]["ttft_p50_ms"]
