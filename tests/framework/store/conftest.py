"""Synthetic runs for the store's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from framework.contracts import Metric, SanityCheck
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.bundles.sources import bundle_sources
from framework.store.views.macros import ViewSources


def make_record(run_id: str = "run-1", **changes: Any) -> RunRecord:
    config = {
        "model": {"name": "opt-1.3b", "layers": 24},
        "gpu": {"name": "h100-64gb"},
        "backend": {"name": "twin", "max_num_seqs": 64},
        "workload": {"name": "sharegpt", "seed": 0},
    }
    fields: dict[str, Any] = {
        "run_key": f"key-{run_id}",
        "job_key": f"job-{run_id}",
        "experiment": "memory_gap",
        "sweep_id": "sweep-1",
        "backend": "twin",
        "status": "done",
        "started_at": "2026-01-01T00:00:00.000001+00:00",
        "finished_at": "2026-01-01T00:01:00+00:00",
        "sanity": "pass",
        "config": config,
        "metrics": (
            Metric("total_tok_s", 1000.0, "tok/s", "requests"),
            Metric("itl_mean_ms", 12.5, "ms", "requests"),
            Metric.absent("energy_j", "not modelled", "J"),
        ),
        "checks": (SanityCheck("completed", "pass", "2000 of 2000"),),
        "provenance": {"git": {"commit": "abc", "dirty": False}, "host": {"name": "node-1"}},
        "facts": {"kv_blocks": 1234},
    }
    return RunRecord(run_id=run_id, **{**fields, **changes})


def make_samples(rows: int = 4) -> pa.Table:
    return pa.table(
        {
            "t_s": [0.5 * i for i in range(rows)],
            "name": ["running"] * rows,
            "value": [float(i) for i in range(rows)],
        }
    )


@pytest.fixture
def record() -> Callable[..., RunRecord]:
    return make_record


@pytest.fixture
def samples() -> Callable[..., pa.Table]:
    return make_samples


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def add_run(outputs):
    """Write a bundle: `add_run("run-1", metrics={"total_tok_s": 5.0}, **{"backend.max_num_seqs": 8})`."""

    def add(run_id: str, metrics: dict[str, float] | None = None, tables=None, params=None, **changes: Any):
        changed = dict(changes)
        if metrics is not None:
            changed["metrics"] = [Metric(name, value) for name, value in metrics.items()]
        record = make_record(run_id, **changed)
        config = {group: dict(keys) for group, keys in record.config.items()}
        for name, value in (params or {}).items():
            group, _, key = name.partition(".")
            config.setdefault(group, {})[key] = value
        record = make_record(run_id, **{**changed, "config": config})
        tables = {"samples": make_samples()} if tables is None else tables
        return write_bundle(outputs, record, tables)

    return add


@pytest.fixture
def load_run(outputs):
    """Read a run's bundle wherever it lies: loose, in a pack, or behind a URL."""

    def load(run_id: str):
        (source,) = [source for source in bundle_sources(outputs) if run_id in source.names()]
        return source.load(run_id)

    return load


@pytest.fixture
def define_metrics(monkeypatch):
    """Stand in for the plugins' metric definitions and views."""

    def define(*definitions, statements=()):
        sources = ViewSources(tuple(statements), tuple(definitions))
        monkeypatch.setattr("framework.store.database.ingest.plugin_views", lambda: sources)

    return define
