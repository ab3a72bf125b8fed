"""Runs in the store serve calibration like a table of measured runs does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from framework.errors import InputError
from framework_twin.measured.stored_runs import stored_runs

PARAMS = {
    "model.name": "llama-3.1-8b-instruct",
    "gpu.name": "H100-64GB",
    "workload.name": "adapters",
    "workload.arrivals.kind": "poisson",
    "workload.lengths.kind": "gamma",
    "workload.lengths.input_std": "246.5",
    "workload.lengths.output_std": "206",
    "workload.ranks": "[8, 16]",
    "workload.rates_rps": "[0.1, 0.05, 0.025]",
    "backend.replicas": "1",
    "backend.mps": "true",
}
FACTS = {
    "workload.n_adapters": "4",
    "workload.horizon_s": "3600",
    "workload.num_requests": "990",
    "workload.input_tokens_mean": "222.6",
    "workload.output_tokens_mean": "198.6",
    "engine.generation": "v1",
    "engine.max_num_seqs": "256",
    "engine.max_num_batched_tokens": "2048",
    "engine.chunked_prefill": "true",
    "engine.max_model_len": "8192",
    "engine.max_loras": "4",
    "engine.max_lora_rank": "16",
    "engine.block_size": "16",
    "kv_blocks": "1000",
}


class MemoryStore:
    """A StoreReader over a database in memory with one run."""

    def __init__(self, sanity: str = "pass", **changed_params: str) -> None:
        self.connection = duckdb.connect()
        self.connection.execute(
            "CREATE TABLE runs(run_id TEXT, experiment TEXT, backend TEXT, status TEXT, sanity TEXT, seed BIGINT, "
            "workload_hash TEXT, started_at TEXT, sweep_id TEXT)"
        )
        self.connection.execute(
            f"INSERT INTO runs VALUES ('a', 'mine', 'vllm', 'done', '{sanity}', 0, NULL, '2026', NULL)"
        )
        self._fill("params", {**PARAMS, **changed_params})
        self._fill("facts", FACTS)
        self._fill("provenance", {})
        self._fill("metrics", {"itl_mean_ms": "21.5"})

    def _fill(self, table: str, values: dict[str, str]) -> None:
        self.connection.execute(f"CREATE TABLE {table}(run_id TEXT, name TEXT, value TEXT)")
        if values:
            self.connection.executemany(f"INSERT INTO {table} VALUES ('a', ?, ?)", list(values.items()))

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.connection.execute(sql, list(parameters)).to_arrow_table()


def test_a_stored_run_is_a_measured_run_with_its_adapters_dealt_as_the_workload_deals_them() -> None:
    (run,), bad = stored_runs(MemoryStore(), "mine")
    assert bad == []
    assert run.setup.kv_cache_tokens == 16_000
    assert run.setup.adapter_ranks == (8, 8, 16, 16)
    assert sorted(run.setup.adapter_rates_rps) == [0.025, 0.05, 0.1, 0.1]
    assert run.setup.duration_limit_s == 3600
    assert run.measured == {"measured_itl_mean_ms": 21.5}
    assert run.clean


def test_a_run_that_failed_its_sanity_checks_is_not_clean() -> None:
    (run,), _ = stored_runs(MemoryStore(sanity="fail"), "mine")
    assert not run.clean


def test_a_workload_that_a_fit_can_not_realise_is_left_out_with_the_reason() -> None:
    runs, (bad,) = stored_runs(MemoryStore(**{"workload.arrivals.kind": "constant"}), "mine")
    assert runs == []
    assert "workload.arrivals.kind" in bad.reason


def test_an_experiment_without_runs_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="'other' is neither a file nor an experiment"):
        stored_runs(MemoryStore(), "other")
