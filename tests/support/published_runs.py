"""Published figures of a few runs (`published_runs.csv`), as a table in the schema that the importers read."""

from __future__ import annotations

import csv
from pathlib import Path

FIGURES = Path(__file__).with_suffix(".csv")


def published_runs() -> list[dict[str, str]]:
    """Return one record a run, in the columns of a table of measured runs."""
    with FIGURES.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    return [_record(row) for row in rows]


def _record(row: dict[str, str]) -> dict[str, str]:
    equal = row["lengths"] == "fixed"
    total_tok_s = float(row["total_tok_s"])
    tokens = float(row["input_tokens"]) + float(row["output_tokens"])
    return {
        "run_id": f"{row['model']}-{row['lengths']}-{row['output_tokens']}-{row['max_num_seqs']}",
        "source": "memory_gap",
        "family": "advisor" if equal else "background",
        "model": row["model"],
        "gpu": "H100-64GB",
        "engine_generation": "v0",
        "arrival": "burst",
        "num_prompts": "2000",
        "request_rate_rps": "inf",
        "input_tokens_mean": row["input_tokens"],
        "output_tokens_mean": row["output_tokens"],
        "length_distribution": row["lengths"],
        "max_num_seqs": row["max_num_seqs"],
        "max_num_batched_tokens": "512" if equal else "2048",
        "chunked_prefill": str(equal),
        "max_model_len": "4096" if equal and row["model"].startswith("llama") else "2048",
        "gpu_memory_utilization": "0.9",
        "kv_cache_tokens": row["kv_cache_tokens"],
        "replicas": "1",
        "measured_completed": "2000",
        "measured_duration_s": f"{2000 * tokens / total_tok_s:.2f}",
        "measured_total_tok_s": row["total_tok_s"],
        "measured_itl_mean_ms": row["itl_mean_ms"],
        "measured_kv_usage_peak": row["kv_usage_peak"],
        "measured_preemptions": row["preemptions"],
        "measured_power_mean_w": row["power_mean_w"],
        "quality_flags": "clean",
    }


def write_published_runs(folder: Path) -> Path:
    """Write the table and return its path."""
    records = published_runs()
    file = folder / "published_runs.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return file
