from __future__ import annotations

from typing import Any

import pytest

from framework.contracts import Figure, TableBlock
from framework_serving.report.open_loop import loaded_points
from framework_serving.report.serving_sections import sections
from framework_serving.sweeps.sweep_points import load_points

BASE = {"model.name": "opt-1.3b", "gpu.name": "H100-64GB", "backend.max_num_seqs": 64, "backend.replicas": 1}


def stream(store: Any, rate_rps: float, **metrics: float) -> None:
    found = {"total_tok_s": 400.0 * rate_rps, "requests_s": rate_rps, "completed": 90.0, **metrics}
    params = {
        **BASE,
        "workload.arrivals.kind": "poisson",
        "workload.arrivals.rate_rps": rate_rps,
        "workload.num_requests": 100,
    }
    store.add(params, {**found, "ttft_p99_ms": 50.0 * rate_rps, "goodput_requests_s": 0.5 * rate_rps})


def burst(store: Any, rate: float) -> None:
    params = {**BASE, "workload.arrivals.kind": "burst", "workload.num_requests": 100}
    store.add(params, {"total_tok_s": rate, "requests_s": rate / 400})


def test_load_is_the_offered_share_of_the_burst_of_the_same_server(store: Any) -> None:
    for rate_rps in (20.0, 5.0):
        stream(store, rate_rps)
    burst(store, 10_000.0)
    ((low, high),) = loaded_points(load_points(store, store.run_ids))
    assert [low.load, high.load] == pytest.approx([0.2, 0.8])


def test_stream_without_a_burst_of_its_server_has_no_load(store: Any) -> None:
    stream(store, 5.0)
    stream(store, 10.0)
    assert loaded_points(load_points(store, store.run_ids)) == []
    assert "Below saturation" not in [section.title for section in sections(store.report_scope())]


def test_good_requests_are_counted_against_all_that_were_sent(store: Any) -> None:
    for rate_rps in (5.0, 20.0):
        stream(store, rate_rps)
    burst(store, 10_000.0)
    (section,) = [item for item in sections(store.report_scope()) if item.title == "Below saturation"]
    table = section.blocks[-1]
    assert isinstance(table, TableBlock)
    good = [row[table.columns.index("good %")] for row in table.rows]
    assert good == [pytest.approx(45.0)] * 2  # half of the 90 served of 100
    assert [block.title for block in section.blocks if isinstance(block, Figure)] == [
        "Time to first token against load",
        "Requests within their objectives",
    ]
