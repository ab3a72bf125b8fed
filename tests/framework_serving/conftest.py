"""A store in memory with the tables that the serving domain reads, filled from plain dictionaries."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from framework.contracts import Advice, AdvisorScope, BatchBackend, ReportScope

TABLES = (
    "CREATE TABLE runs (run_id TEXT, experiment TEXT, status TEXT, sanity TEXT, model TEXT, gpu TEXT, backend TEXT)",
    "CREATE TABLE params (run_id TEXT, name TEXT, value TEXT, number DOUBLE)",
    "CREATE TABLE metrics (run_id TEXT, name TEXT, value DOUBLE, unit TEXT, reason TEXT, low DOUBLE, high DOUBLE)",
    "CREATE TABLE varied (run_id TEXT, name TEXT)",
    "CREATE TABLE provenance (run_id TEXT, name TEXT, value TEXT)",
    "CREATE TABLE requests (run_id TEXT, adapter_id BIGINT, arrival_s DOUBLE, first_token_s DOUBLE,"
    " last_token_s DOUBLE, input_tokens BIGINT, output_tokens BIGINT, status TEXT)",
    "CREATE TABLE advice (advice_id TEXT, recommendation TEXT, advisor TEXT, subject TEXT,"
    " overrides TEXT, metric TEXT, predicted DOUBLE, low DOUBLE,"
    " high DOUBLE, reason TEXT, facts TEXT, experiment TEXT, sweep_id TEXT, run_ids TEXT[], advised_at TIMESTAMP)",
)


@dataclass
class MemoryStore:
    """A `StoreReader` whose runs are added one by one."""

    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    run_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for statement in TABLES:
            self.connection.execute(statement)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        return self.connection.cursor().sql(sql, params=list(parameters)).to_arrow_table()

    def add(
        self,
        params: Mapping[str, Any],
        metrics: Mapping[str, float | tuple[float, float, float]],
        status: str = "done",
        sanity: str = "pass",
        varied: Sequence[str] = ("model", "backend.max_num_seqs"),
    ) -> str:
        run_id = f"run-{len(self.run_ids):03d}"
        self.run_ids.append(run_id)
        self.connection.execute(
            "INSERT INTO runs VALUES (?, 'study', ?, ?, ?, ?, 'twin')",
            [run_id, status, sanity, params.get("model.name"), params.get("gpu.name")],
        )
        texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in params.values()]
        self._insert("params", {"name": list(params), "value": texts}, run_id)
        triples = [value if isinstance(value, tuple) else (value, None, None) for value in metrics.values()]
        columns = [pa.array([triple[place] for triple in triples], pa.float64()) for place in range(3)]
        named = dict(zip(("value", "low", "high"), columns, strict=True))
        self._insert("metrics", {"name": list(metrics), **named}, run_id)
        self._insert("varied", {"name": list(varied)}, run_id)
        return run_id

    def _insert(self, table: str, columns: Mapping[str, Any], run_id: str) -> None:
        rows = pa.table({"name": pa.array([], pa.string()), **columns})
        rows = rows.append_column("run_id", pa.array([run_id] * rows.num_rows, pa.string()))
        self.connection.register("added", rows)
        self.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM added")
        self.connection.unregister("added")

    def advise(self, advice: Sequence[Advice]) -> None:
        """Store advice as the core does after a sweep."""
        for number, item in enumerate(advice):
            self.connection.execute(
                "INSERT INTO advice BY NAME SELECT ? AS advice_id, ? AS recommendation, ? AS advisor, ? AS subject,"
                " ? AS overrides, ? AS predicted, ? AS low, ? AS high, ? AS facts, ? AS run_ids,"
                " 'study' AS experiment, TIMESTAMP '2025-01-01' AS advised_at",
                [
                    f"advice-{number:02d}",
                    json.dumps(dict(item.recommendation)),
                    item.advisor,
                    item.subject,
                    item.overrides,
                    item.predicted,
                    item.low,
                    item.high,
                    json.dumps(dict(item.facts)),
                    list(item.run_ids),
                ],
            )

    def advisor_scope(self) -> AdvisorScope:
        def no_backend(name: str, overrides: Sequence[str]) -> BatchBackend:
            raise AssertionError("no simulation expected")

        return AdvisorScope(self, "study", "sweep", list(self.run_ids), no_backend)

    def report_scope(self, **keys: Any) -> ReportScope:
        return ReportScope(self, "study", list(self.run_ids), **keys)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@dataclass(frozen=True)
class AffineEngine:
    """An engine with closed forms: step = t0 + slope · R, every batch full until the KV cache is.

    Units: milliseconds, requests, GiB. KV use grows in proportion to the batch and is full at `batch_full`.
    """

    t0_ms: float = 4.0
    slope_ms: float = 0.1
    batch_full: int = 1000
    cache_gib: float = 50.0
    tokens_ratio: float = 1.4

    def metrics(self, batch: int, noise: Callable[[], float] = lambda: 1.0) -> dict[str, float]:
        running = min(batch, self.batch_full)
        step_ms = self.t0_ms + self.slope_ms * running
        return {
            "total_tok_s": self.tokens_ratio * 1000 * running / step_ms * noise(),
            "itl_mean_ms": step_ms * noise(),
            "tpot_mean_ms": step_ms * noise(),
            "running_mean": 0.95 * running,
            "kv_usage_peak": min(batch / self.batch_full, 1.0),
            "kv_cache_gib": self.cache_gib,
            "preemptions": float(max(batch - self.batch_full, 0)),
        }


@pytest.fixture
def affine_engine() -> AffineEngine:
    return AffineEngine()


@pytest.fixture
def engine_of() -> type[AffineEngine]:
    return AffineEngine
