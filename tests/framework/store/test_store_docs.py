"""docs/store.md is what the store does: every query there and in the cookbook runs, every table and view is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from framework.contracts import Advice, Metric, MetricDefinition, SanityCheck
from framework.run_record import Failure, RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.database.schema import CORE_TABLES
from framework.store.side_files.answers import Prediction, write_advice, write_predictions
from framework.store.views.macros import ViewSources

PAGES = Path(__file__).parents[3] / "docs"
DOCS = (PAGES / "store.md").read_text(encoding="utf-8")
QUERIES = re.findall(
    r"^([^\n]+)\n\n```sql\n(.*?)```", DOCS + (PAGES / "sql_cookbook.md").read_text(), re.DOTALL | re.MULTILINE
)
VALUES = {"total_tok_s": 100.0, "itl_mean_ms": 10.0, "preemptions": 0.0, "running_mean": 5.0}
VALUES |= {"output_tok_s": 40.0, "energy_j_per_token": 0.1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two sweeps over two batch sizes with two seeds, a failed and an unsound run, advice and predictions."""
    outputs = tmp_path_factory.mktemp("outputs")
    number = 0
    for sweep in ("sweep-a", "sweep-b"):
        for batch in (8, 64):
            for seed in (0, 1):
                number += 1
                scale = batch * (1 + 0.01 * seed) * (2 if sweep == "sweep-b" else 1)
                metrics = [
                    Metric(name, value * scale, derivation=f"code of {sweep}")
                    for name, value in VALUES.items()
                ]
                record = RunRecord(
                    f"run-{number}",
                    f"key-{number}",
                    "memory_gap",
                    "twin",
                    "done",
                    f"2026-01-01T00:00:0{number}+00:00",
                    finished_at=f"2026-01-01T00:01:0{number}+00:00",
                    sweep_id=sweep,
                    sanity="warn",
                    checks=(SanityCheck("client", "warn", "lag 12 ms"),),
                    metrics=(*metrics, Metric.absent("energy_j", "not modelled")),
                    config={
                        "model": {"name": "opt-1.3b"},
                        "backend": {"max_num_seqs": batch, "fast": sweep == "sweep-b"},
                        "workload": {"seed": seed},
                    },
                    varied=("backend.max_num_seqs",),
                    provenance={"git": {"commit": "abc"}},
                    facts={"kv_blocks": 1},
                )
                samples = pa.table({"t_s": [0.0], "name": ["running"], "value": [1.0]})
                write_bundle(outputs, record, {"samples": samples})
    failure = Failure("backend", "EngineError", "no memory")
    record = RunRecord(
        "run-9", "k", "memory_gap", "twin", "failed", "2026-01-01T00:00:09+00:00", failure=failure
    )
    (outputs / "engine-0.log").write_text("no memory")
    write_bundle(outputs, record, {}, {"log/engine-0.log": outputs / "engine-0.log"})
    (outputs / "runs" / "foreign").mkdir()
    write_advice(outputs, [Advice("bca", "opt", {"a": 1}, "m", 1.0, 0.5, 2.0, "why", ["run-1"])], "e", "s")
    write_predictions(outputs, [Prediction(0, "total_tok_s", 1.0)], "run-1")
    with pytest.MonkeyPatch.context() as patch:
        definitions = (
            MetricDefinition("total_tok_s", "tok/s", "", "higher"),
            MetricDefinition("itl_mean_ms", "ms", "", "lower"),
        )
        patch.setattr("framework.store.database.ingest.plugin_views", lambda: ViewSources((), definitions))
        ingest(outputs)
    return Store(outputs)


@pytest.mark.parametrize(
    "query", [query for _, query in QUERIES], ids=[question[:60] for question, _ in QUERIES]
)
def test_a_documented_query_runs(store, query):
    answer = store.query(query)
    asks_for_the_unfinished = "'running', 'stale'" in query
    of_a_failed_run = "max(run_id)" in query
    within_slo = "<= 30" in query
    without_requests = "FROM requests" in query  # tests/docs/test_tutorials.py has some
    if not (without_requests or asks_for_the_unfinished or of_a_failed_run or within_slo):
        assert answer.num_rows > 0


def test_there_is_a_query_for_every_question():
    assert len(QUERIES) >= 30


def test_every_table_view_and_macro_is_documented(store):
    made = {name for (name,) in store.rows("SELECT view_name FROM duckdb_views() WHERE NOT internal")[1]}
    for name in {*CORE_TABLES, *made, "samples", "pareto", "compare"}:
        assert f"`{name}`" in DOCS or f"`{name}(" in DOCS, name
