"""How the store scales: ingest, `results`, `pareto`, size and lookup over many bundles.

    python benchmarks/store_scale.py                 # 10,000 bundles of 60 metrics and 2,000 samples each
    python benchmarks/store_scale.py --bundles 1000  # a quick look

Every figure is printed next to its target. Samples are random walks with jittered times, so that nothing compresses
better than measured data does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from framework.contracts import Metric, SanityCheck
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.layout import database_path
from framework.store.lookup import done_job_keys

MODELS = ("opt-1.3b", "opt-2.7b", "llama-2-7b", "llama-2-13b")
SERIES = ("running", "waiting", "kv_usage", "power_w")
METRICS = ("total_tok_s", "itl_mean_ms", *(f"metric_{i}_ms" for i in range(58)))


@dataclass(frozen=True)
class Figure:
    """One measured figure and what it must not exceed."""

    name: str
    value: float
    unit: str
    target: float | None
    cpu_s: float | None = None


def record_of(index: int, rng: np.random.Generator) -> RunRecord:
    """Return the record of one synthetic run; four models × 50 batch sizes, repeated with other seeds."""
    model, batch = MODELS[index % 4], 1 + (index // 4) % 50
    values = rng.lognormal(3, 1, len(METRICS))
    config = {
        "model": {"name": model, "layers": 24 + 8 * (index % 4), "hidden_size": 2048},
        "gpu": {"name": "h100-64gb", "memory_gib": 64},
        "backend": {"name": "twin", "max_num_seqs": batch, "max_num_batched_tokens": 2048, "replicas": 1},
        "workload": {
            "name": "sharegpt",
            "seed": index // 200,
            "requests": 2000,
            "arrivals": {"rate_rps": 8.0},
        },
    }
    return RunRecord(
        run_id=f"20260101T{index:09d}",
        run_key=f"key-{index}",
        job_key=f"job-{index}",
        experiment="store_scale",
        sweep_id=f"sweep-{index // 1000}",
        sweep_index=index % 1000,
        repeat=index // 200,
        backend="twin",
        status="done",
        started_at=f"2026-01-01T{index // 3600:02d}:{index // 60 % 60:02d}:{index % 60:02d}+00:00",
        finished_at=f"2026-01-02T{index // 3600:02d}:{index // 60 % 60:02d}:{index % 60:02d}+00:00",
        sanity="pass",
        checks=[SanityCheck("completed", "pass", "2000 of 2000"), SanityCheck("tokens", "pass")],
        metrics=[Metric(name, float(x), "ms", "engine") for name, x in zip(METRICS, values, strict=True)],
        config=config,
        varied=["model", "backend.max_num_seqs"],
        provenance={"git": {"commit": "0" * 40, "dirty": False}, "host": {"name": "node-1", "cpus": 96}},
        facts={"engine": {"version": "0.10.0", "kv_blocks": 12345}},
    )


def samples_of(count: int, rng: np.random.Generator) -> pa.Table:
    """Return one run's time series: `count` rows over four quantities."""
    each = count // len(SERIES)
    times = np.cumsum(rng.exponential(0.25, each))
    return pa.table(
        {
            "t_s": np.tile(times, len(SERIES)),
            "name": np.repeat(SERIES, each),
            "value": rng.normal(0, 1, (len(SERIES), each)).cumsum(axis=1).ravel(),
        }
    )


def write_bundles(outputs: Path, bundles: int, samples: int) -> None:
    """Write the synthetic bundles, unflushed: the benchmark is of reading them."""
    os.fsync = lambda handle: None
    rng = np.random.default_rng(1)
    for index in range(bundles):
        tables = {"samples": samples_of(samples, rng)}
        write_bundle(outputs, record_of(index, rng), tables)


def cpu_s() -> float:
    """Return CPU time of this process so far, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(name: str, target_s: float | None, action: Callable[[], object]) -> Figure:
    """Run an action and return its wall and CPU time."""
    start, start_cpu = time.perf_counter(), cpu_s()
    action()
    return Figure(name, time.perf_counter() - start, "s", target_s, cpu_s() - start_cpu)


def measure(outputs: Path, bundles: int) -> list[Figure]:
    """Return all figures of an outputs folder that has been filled."""
    figures = [timed("ingest", 120.0, lambda: ingest(outputs))]
    figures.append(timed("ingest again, nothing new", None, lambda: ingest(outputs)))
    size_gib = os.path.getsize(database_path(outputs)) / 2**30
    figures.append(Figure("database", size_gib, "GiB", 2.0))
    results = "SELECT * FROM results"
    figures.append(timed("results, all rows", 1.0, lambda: Store(outputs).query(results)))
    front = "FROM pareto('total_tok_s', 'itl_mean_ms', x_better := 'higher', y_better := 'lower')"
    figures.append(timed("pareto", 1.0, lambda: Store(outputs).query(front)))
    keys = [f"job-{index}" for index in range(bundles)]
    figures.append(timed("look up all job keys", 10.0, lambda: done_job_keys(outputs, keys)))
    return figures


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundles", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=2_000, help="rows of `samples` in each bundle")
    parser.add_argument("--outputs", type=Path, help="keep and reuse this folder instead of a temporary one")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="store-scale-") as temporary:
        outputs = arguments.outputs or Path(temporary)
        if not (outputs / "runs").exists():
            written = timed(
                "write", None, lambda: write_bundles(outputs, arguments.bundles, arguments.samples)
            )
            print(f"wrote {arguments.bundles} bundles in {written.value:.1f} s")
        database_path(outputs).unlink(missing_ok=True)
        figures = measure(outputs, arguments.bundles)
    for figure in figures:
        target = "" if figure.target is None else f"  (target {figure.target:g})"
        cpu = "" if figure.cpu_s is None else f", {figure.cpu_s:.2f} s CPU"
        print(f"{figure.name:28} {figure.value:8.3f} {figure.unit}{cpu}{target}")
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(figure) for figure in figures], indent=1))


if __name__ == "__main__":
    main()
