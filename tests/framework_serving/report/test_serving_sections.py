from __future__ import annotations

import json
from typing import Any

import pytest

from framework.contracts import Figure, ReportSection, TableBlock
from framework_serving.advice.bca_advisor import BcaAdvisor
from framework_serving.advice.replication_advisor import ReplicationAdvisor
from framework_serving.report.serving_sections import pareto_front, sections, terminal_tables
from framework_serving.sweeps.sweep_points import load_points

BASE = {
    "model.name": "opt-1.3b",
    "gpu.name": "H100-64GB",
    "gpu.memory_gib": 64.0,
    "workload.name": "sharegpt",
    "backend.replicas": 1,
    "backend.mps": True,
    "backend.gpu_memory_utilization": 0.9,
}


def study(store: Any, engine: Any) -> None:
    for chunked in (False, True):
        for batch in (1, 8, 32, 64, 128, 256, 1100):
            params = {**BASE, "backend.max_num_seqs": batch, "backend.chunked_prefill": chunked}
            store.add(params, engine.metrics(batch))
    params = {**BASE, "backend.max_num_seqs": 128, "backend.replicas": 2, "backend.chunked_prefill": False}
    store.add(params, {"total_tok_s": 20_000.0, "itl_mean_ms": 30.0, "preemptions": 0.0})
    scope = store.advisor_scope()
    store.advise([*BcaAdvisor().advise(scope), *ReplicationAdvisor().advise(scope)])


def figures(found: list[ReportSection]) -> dict[str, Figure]:
    return {block.title: block for section in found for block in section.blocks if isinstance(block, Figure)}


def test_terminal_shows_results_by_model_and_replication(store: Any, affine_engine: Any) -> None:
    study(store, affine_engine)
    tables = {table.title: table for table in terminal_tables(store.report_scope())}
    assert list(tables) == [
        "opt-1.3b on H100-64GB · sharegpt, one replica",
        "Knees of single engines",
        "Replicas on one GPU compared with single engines",
        "Gain of the front from replicas",
    ]
    results, knees, replication, gained = tables.values()
    # T ∝ R / (4 + 0.1 R) up to 256, then preemption: 95 % of T(256) from R = 211 on
    # and 128, at 88 % of the rise and 7/8 of the way in log B, is the only point above the chord
    assert [row[2:6] for row in knees.rows] == [(256, 128, 256, "memory")]
    assert [row[0] for row in gained.rows] == ["opt-1.3b"]
    assert [row[0] for row in results.rows] == [1, 8, 32, 64, 128, 256, 1100]
    assert results.rows[0][results.columns.index("J/token")] is None
    assert [row[1] for row in replication.rows] == ["best replicas", "MAX", "MAX chunked", "same batch"]


def test_figures_have_titled_axes_with_units_and_no_heavy_import(store: Any, affine_engine: Any) -> None:
    study(store, affine_engine)
    found = figures(list(sections(store.report_scope())))
    assert set(found) == {
        "Throughput against batch",
        "Latency against batch",
        "KV cache usage against batch",
        "Throughput against latency",
        "Running requests",
        "Pareto front: tok/s and ITL",
    }
    for figure in found.values():
        json.dumps(figure.spec, allow_nan=False)
        assert figure.caption
        for axis in ("xaxis", "yaxis"):
            assert "(" in figure.spec["layout"][axis]["title"]["text"]
    throughput = found["Throughput against batch"].spec
    assert throughput["layout"]["xaxis"]["type"] == "log"
    names = [trace["name"] for trace in throughput["data"]]
    assert names == ["opt-1.3b · one replica", "opt-1.3b · chunked prefill"]
    assert {trace["legendgroup"] for trace in throughput["data"]} == {"opt-1.3b"}  # one colour
    assert len({trace["line"]["dash"] for trace in throughput["data"]}) == 2


def test_energy_is_drawn_only_where_it_was_measured(store: Any, affine_engine: Any) -> None:
    for batch in (1, 8):
        metrics = {**affine_engine.metrics(batch), "energy_j_per_token": 1.0 / batch}
        store.add({**BASE, "backend.max_num_seqs": batch}, metrics)
    assert "Energy per token" in figures(list(sections(store.report_scope())))


def test_interval_of_the_runs_becomes_whiskers(store: Any, affine_engine: Any) -> None:
    for batch in (1, 8):
        metrics = {**affine_engine.metrics(batch), "total_tok_s": (100.0, 90.0, 120.0)}
        store.add({**BASE, "backend.max_num_seqs": batch}, metrics)
    (trace,) = figures(list(sections(store.report_scope())))["Throughput against batch"].spec["data"]
    assert trace["error_y"]["array"] == [20.0, 20.0]
    assert trace["error_y"]["arrayminus"] == [10.0, 10.0]


def test_advised_runs_are_marked_on_the_tradeoff(store: Any, affine_engine: Any) -> None:
    study(store, affine_engine)
    tradeoff = figures(list(sections(store.report_scope())))["Throughput against latency"]
    traces = {trace["name"]: trace for trace in tradeoff.spec["data"]}
    assert traces["advised: bca strict"]["y"] == [pytest.approx(affine_engine.metrics(64)["total_tok_s"])] * 2
    assert traces["advised: replication"]["y"] == [20_000.0]


def test_preempting_run_is_drawn_open_and_never_on_the_front(store: Any, affine_engine: Any) -> None:
    study(store, affine_engine)
    throughput = figures(list(sections(store.report_scope())))["Throughput against batch"].spec["data"][0]
    assert throughput["marker"]["symbol"][-1] == "circle-open"
    front = pareto_front(load_points(store, store.run_ids))
    assert front
    assert all(not point.preempted for point in front)


def test_runs_without_a_sweep_over_the_batch_are_listed(store: Any, affine_engine: Any) -> None:
    for rate in (1, 2):
        params = {**BASE, "backend.max_num_seqs": 64, "workload.arrivals.rate_rps": rate}
        store.add(params, affine_engine.metrics(64), varied=("workload.arrivals.rate_rps",))
    (table,) = terminal_tables(store.report_scope())
    assert table.title == "Serving runs"
    assert [row[1] for row in table.rows] == ["1", "2"]


def test_study_of_another_domain_and_failed_runs_get_nothing(store: Any) -> None:
    store.add({"backend.max_num_seqs": 1}, {"exe_time_s": 3.0})
    store.add(BASE, {}, status="failed")
    assert list(terminal_tables(store.report_scope())) == []
    assert list(sections(store.report_scope())) == []


def test_table_blocks_hold_plain_values(store: Any, affine_engine: Any) -> None:
    study(store, affine_engine)
    for table in terminal_tables(store.report_scope()):
        assert isinstance(table, TableBlock)
        for row in table.rows:
            assert len(row) == len(table.columns)
            assert all(value is None or isinstance(value, str | int | float) for value in row)


def test_other_workloads_of_a_model_wait_in_the_legend_and_the_plain_engine_is_solid(
    store: Any, affine_engine: Any
) -> None:
    study(store, affine_engine)
    for batch in (1, 8):
        params = {**BASE, "workload.name": "fixed", "backend.max_num_seqs": batch}
        store.add(params, affine_engine.metrics(batch))
    traces = figures(list(sections(store.report_scope())))["Throughput against batch"].spec["data"]
    shown = {trace["name"]: (trace["visible"], trace["line"]["dash"]) for trace in traces}
    assert shown["opt-1.3b · one replica"] == (True, "solid")
    assert shown["opt-1.3b · fixed"] == ("legendonly", "solid")


def test_curves_that_look_alike_are_told_apart_by_what_differs(store: Any, affine_engine: Any) -> None:
    for output_tokens in (130, 390):
        for batch in (1, 8):
            params = {**BASE, "workload.lengths.output_tokens": output_tokens, "backend.max_num_seqs": batch}
            store.add(params, affine_engine.metrics(batch))
    traces = figures(list(sections(store.report_scope())))["Latency against batch"].spec["data"]
    assert [trace["name"] for trace in traces] == [
        "opt-1.3b · one replica · output_tokens 130",
        "opt-1.3b · one replica · output_tokens 390",
    ]


def test_runs_outside_any_sweep_are_still_points_of_the_tradeoff(store: Any, affine_engine: Any) -> None:
    for seconds, batch in ((10, 8), (20, 16)):
        params = {**BASE, "workload.duration_s": seconds, "backend.max_num_seqs": batch}
        store.add(params, affine_engine.metrics(batch))
    tradeoff = figures(list(sections(store.report_scope())))["Throughput against latency"].spec["data"]
    assert (tradeoff[0]["name"], tradeoff[0]["mode"], len(tradeoff[0]["x"])) == (
        "opt-1.3b · single runs",
        "markers",
        2,
    )
