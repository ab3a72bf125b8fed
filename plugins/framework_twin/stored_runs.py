"""Measured runs from the store, in the same form as a table of them: what an experiment ran is there to be fitted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from framework.contracts import StoreReader
from framework.errors import InputError
from framework_twin.measured_runs import BadRow, MeasuredRun, measured_run

_ARRIVALS = {"burst": "burst", "poisson": "poisson"}


def stored_runs(store: StoreReader, experiment: str) -> tuple[list[MeasuredRun], list[BadRow]]:
    """Return an experiment's finished runs, and those whose workload a fit can't realise with the reason.

    Raises:
        InputError: the experiment has no finished run.
    """
    runs = store.query(
        "SELECT run_id, coalesce(sanity, 'pass') AS sanity FROM runs WHERE experiment = ? AND status = 'done' "
        "ORDER BY started_at, run_id",
        [experiment],
    ).to_pylist()
    if not runs:
        raise InputError(f"'{experiment}' is neither a file nor an experiment with finished runs")
    params, facts = _values(store, "params", experiment), _values(store, "facts", experiment)
    metrics = _values(store, "metrics", experiment)
    found: list[MeasuredRun] = []
    bad: list[BadRow] = []
    for row, run in enumerate(runs):
        key = run["run_id"]
        try:
            record = _record(params[key], facts[key])
            measured = {f"measured_{name}": value for name, value in metrics[key].items()}
            flags = "unsound" if run["sanity"] == "fail" else "clean"
            found.append(measured_run({"run_id": key, "quality_flags": flags, **record, **measured}, row))
        except ValueError as error:
            bad.append(BadRow(row, key, str(error)))
    return found, bad


def _values(store: StoreReader, table: str, experiment: str) -> dict[str, dict[str, str]]:
    rows = store.query(
        f"SELECT t.run_id, t.name, CAST(t.value AS VARCHAR) AS value FROM {table} t JOIN runs r USING (run_id) "
        "WHERE r.experiment = ? AND r.status = 'done' AND t.value IS NOT NULL",
        [experiment],
    )
    values: dict[str, dict[str, str]] = defaultdict(dict)
    for run_id, name, value in zip(*(rows[column].to_pylist() for column in rows.column_names), strict=True):
        values[run_id][name] = value
    return values


def _record(params: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str | None]:
    """Return a run's configuration under the column names of a table of measured runs."""
    arrival = params.get("workload.arrivals.kind", "")
    if arrival not in _ARRIVALS:
        raise ValueError(
            f"workload.arrivals.kind: '{arrival}' can't be realised for a fit, only burst and poisson"
        )
    adapters = int(float(facts.get("workload.n_adapters", 0)))
    blocks, block_size = facts.get("kv_blocks"), facts.get("engine.block_size", "16")
    record: dict[str, Any] = {
        "source": "store",
        "family": params.get("workload.name", ""),
        "model": params.get("model.name"),
        "gpu": params.get("gpu.name"),
        "engine_generation": facts.get("engine.generation"),
        "engine": facts.get("engine_version"),
        "enforce_eager": params.get("backend.enforce_eager"),
        "arrival": arrival,
        "duration_limit_s": facts.get("workload.horizon_s"),
        "num_prompts": facts.get("workload.num_requests"),
        "request_rate_rps": facts.get("workload.offered_rps"),
        "input_tokens_mean": facts.get("workload.input_tokens_mean"),
        "input_tokens_std": params.get("workload.lengths.input_std"),
        "output_tokens_mean": facts.get("workload.output_tokens_mean"),
        "output_tokens_std": params.get("workload.lengths.output_std"),
        "length_distribution": "fixed" if params.get("workload.lengths.kind") == "fixed" else "sharegpt",
        "n_adapters": str(adapters),
        "kv_cache_tokens": str(int(float(blocks) * float(block_size))) if blocks else None,
        "replicas": params.get("backend.replicas"),
        "mps": params.get("backend.mps"),
        "gpu_memory_utilization": params.get("backend.gpu_memory_utilization"),
        **{name: facts.get(f"engine.{name}") for name in _ENGINE_COLUMNS},
    }
    if adapters:
        record["adapter_ranks"] = _dealt(params.get("workload.ranks", ""), adapters)
        record["adapter_rates_rps"] = _dealt(params.get("workload.rates_rps", ""), adapters)
    return record


_ENGINE_COLUMNS = (
    "max_num_seqs",
    "max_num_batched_tokens",
    "chunked_prefill",
    "max_model_len",
    "max_loras",
    "max_cpu_loras",
    "max_lora_rank",
)


def _dealt(text: str, adapters: int) -> str:
    """Deal the values of a list (`[8, 16]`) round-robin to the adapters, as `8x2;16x1`."""
    values: Sequence[str] = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
    if not values:
        return ""
    counts = [len(range(place, adapters, len(values))) for place in range(len(values))]
    return ";".join(f"{value}x{count}" for value, count in zip(values, counts, strict=True) if count)
