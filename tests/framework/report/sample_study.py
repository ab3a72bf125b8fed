"""A small study as run records: two models, a sweep of batch sizes, a failure, awkward texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from framework.contracts import Advice, Metric, SanityCheck
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.side_files.answers import write_advice

SHAPES = {"opt-1.3b": 24, "llama-2-7b": 32}


def done_run(index: int, model: str = "opt-1.3b", batch: int = 1, experiment: str = "study") -> RunRecord:
    throughput = 1000.0 * batch / (4.0 + 0.1 * batch) / SHAPES[model]
    return RunRecord(
        run_id=f"2026-{index:05d}",
        run_key=f"key{index}",
        job_key=f"job{index}",
        experiment=experiment,
        backend="twin",
        status="done",
        started_at=f"2026-01-02T03:{index // 60 % 60:02d}:{index % 60:02d}.000000+00:00",
        finished_at="2026-01-02T05:00:00+00:00",
        sweep_id=f"{experiment}-abc",
        sweep_index=index,
        sanity="pass",
        checks=[SanityCheck("all_requests", "pass")],
        config={
            "model": {"name": model, "layers": SHAPES[model], "hidden": SHAPES[model] * 64},
            "backend": {"name": "twin", "max_num_seqs": batch, "block": 16},
            "workload": {"seed": 0},
        },
        varied=["model", "backend.max_num_seqs"],
        metrics=[
            Metric("total_tok_s", throughput, "tok/s", low=throughput * 0.95, high=throughput * 1.05),
            Metric("itl_mean_ms", 4.0 + 0.1 * batch, "ms"),
            Metric("itl_p99_ms", 8.0 + 0.2 * batch, "ms"),
            Metric("itl_p50_ms", 4.0 + 0.1 * batch, "ms"),
            Metric.absent("energy_j", "the twin has no <power> model", "J"),
        ],
        provenance={
            "git": {"commit": "0123abcd", "dirty": False},
            "packages": {"set_hash": "feed", "python": "3.11"},
            "host": {"name": "laptop", "cpu": "a CPU"},
            "gpu": [],
            "command_line": "python -m framework +experiment=study",
        },
    )


def failed_run(index: int, message: str = "no room for one request", experiment: str = "study") -> RunRecord:
    failure = Failure("backend", "MemoryError", message, "line 1\n<script>alert(1)</script>")
    return replace(
        done_run(index, batch=4096, experiment=experiment),
        status="failed",
        sanity=None,
        checks=[],
        metrics=[],
        failure=failure,
    )


def warned_run(index: int) -> RunRecord:
    check = SanityCheck("client_lag", "warn", "the client was late by 1.2 s")
    return replace(done_run(index, batch=3), sanity="warn", checks=[check])


def advice(run_ids: Sequence[str]) -> Advice:
    return Advice(
        advisor="bca",
        subject="opt-1.3b",
        recommendation={"backend.max_num_seqs": 128},
        metric="total_tok_s",
        predicted=312.5,
        low=300.0,
        high=325.0,
        reason="95 % of the plateau at half the memory.",
        run_ids=list(run_ids),
        facts={"freed_gib": 12.345},
    )


def store_of(outputs: Path, records: Sequence[RunRecord], given: Sequence[Advice] = ()) -> Store:
    """Write the records as bundles, ingest them, and return the store."""
    for record in records:
        write_bundle(outputs, record, {})
    if given:
        write_advice(outputs, list(given), "study", "study-abc")
    outputs.mkdir(exist_ok=True)
    ingest(outputs)
    return Store(outputs)


def study() -> list[RunRecord]:
    """Return 14 finished runs of two models, one with a warning, and one failure."""
    batches = (1, 4, 16, 64, 128, 256, 512)
    points = [(model, batch) for model in SHAPES for batch in batches]
    runs = [done_run(index, model, batch) for index, (model, batch) in enumerate(points)]
    return [*runs, warned_run(20), failed_run(21)]
