"""Measured runs again, on the twin: the same requests, the same engine settings, a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.contracts import BatchBackend, BatchJob
from framework.run.rebuild import stored_config, stored_settings
from framework_serving.hardware.model_shape import KV_BLOCK_TOKENS
from framework_serving.metrics.serving_metrics import derive
from framework_twin.measured.stored_runs import StoredRun, as_measured
from framework_twin.settings import TwinSettings

REPLAYED = ("total_tok_s", "itl_mean_ms", "ttft_mean_ms", "e2e_mean_ms")
"""Metrics that a replay is compared by."""


def replay(backend: BatchBackend, runs: Sequence[StoredRun], profile: Path) -> dict[str, dict[str, float]]:
    """Return run id → metric → what the twin says of the run under a profile.

    A run whose single requests are not known, or that the twin refuses, has no entry.
    """
    jobs: list[tuple[str, BatchJob]] = []
    for run in runs:
        if run.workload is not None:
            jobs.append((run.run_id, BatchJob(overrides(run, profile), run.workload)))
    found: dict[str, dict[str, float]] = {}
    for index, result in backend.run_batch([job for _, job in jobs]):
        run_id, job = jobs[index]
        metrics = [*result.metrics, *derive({}, job.workload, result)]
        values = {metric.name: metric.value for metric in metrics}
        kept = {name: value for name in REPLAYED if (value := values.get(name)) is not None}
        if kept:
            found[run_id] = kept
    return found


def overrides(run: StoredRun, profile: Path) -> dict[str, Any]:
    """Return the twin's settings for a run: those that it shares with the engine, and what that resolved itself."""
    setup = as_measured(run).setup
    return {
        **stored_settings(stored_config(run.params), _SHARED),
        "engine": setup.generation,
        "chunked_prefill": None if setup.generation == "v1" else setup.chunked_prefill,
        "max_num_batched_tokens": max(setup.max_num_batched_tokens, setup.max_num_seqs),
        "max_model_len": setup.max_model_len,
        "kv_blocks": setup.kv_cache_tokens // KV_BLOCK_TOKENS if setup.kv_cache_tokens else None,
        "profile": str(profile),
        "sample_period_s": None,
    }


_SHARED = TwinSettings.__dataclass_fields__.keys() - {"profile", "profile_folder", "kv_blocks"}


def measured(run: StoredRun) -> Mapping[str, float]:
    """Return what was measured of a run, by metric."""
    return {
        name: float(text)
        for name in REPLAYED
        if (text := run.metrics.get(name)) is not None and float(text) > 0
    }


def other_cores(run: StoredRun) -> float | None:
    """Return the cores that other processes kept busy during a run; None without the collector `metrics=host`."""
    share, own = run.metrics.get("host_cpu_mean_pct"), run.metrics.get("run_cpu_mean_cores")
    cores = run.facts.get("host.cores")
    if share is None or own is None or cores is None:
        return None
    return max(0.0, float(share) / 100.0 * float(cores) - float(own))
