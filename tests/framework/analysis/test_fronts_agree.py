"""Every way to a Pareto front gives the same: `front_mask`, `pareto`, `serving_front`, `cost_time_front`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framework.analysis.pareto import front_mask
from framework.contracts import Metric
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

CASES = 25
BOTH_LOWER = ("lower", "lower")
Point = tuple[float, float | None]


def drawn(case: int) -> list[Point]:
    """Time and cost of some runs: few distinct values, so that ties are common; some have no cost."""
    random = np.random.default_rng(case)
    times = random.integers(1, 6, random.integers(1, 13))
    costs = random.integers(1, 6, len(times))
    priced = random.random(len(times)) < 0.8
    return [
        (float(time), float(cost) if known else None)
        for time, cost, known in zip(times, costs, priced, strict=True)
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One experiment a case; its runs pass for serving runs and for executions of a data engine."""
    outputs: Path = tmp_path_factory.mktemp("outputs")
    for case in range(CASES):
        for number, (time_s, cost) in enumerate(drawn(case)):
            metrics = [Metric("exe_time_s", time_s, "s"), Metric("total_tok_s", 1.0, "tok/s")]
            metrics += [Metric("cost_usd", cost, "USD")] if cost is not None else []
            config = {
                "backend": {"name": "b", "max_num_seqs": 8, "knob": number},
                "workload": {"benchmark": "sort"},
                "cluster": {"cluster": "c-1"},
            }
            run_id = f"{case:02d}-{number:02d}"
            record = RunRecord(
                run_id, run_id, f"case-{case}", "b", "done", "2026-01-01T00:00:00+00:00",
                metrics=tuple(metrics), config=config,
            )  # fmt: skip
            write_bundle(outputs, record, {})
    ingest(outputs)
    return Store(outputs)


WAYS = {
    "pareto": "pareto('exe_time_s', 'cost_usd', experiment := ?)",
    "serving_front": "serving_front(objectives := ['exe_time_s', 'cost_usd'], experiment := ?)",
    "noise of width zero": "cost_time_front(experiment := ?)",  # nothing is repeated: its intervals are points
}


@pytest.mark.parametrize("case", range(CASES))
def test_all_ways_give_the_front_that_dominance_defines(store: Store, case: int) -> None:
    points = [(time_s, cost) for time_s, cost in drawn(case) if cost is not None]
    places = [number for number, (_, cost) in enumerate(drawn(case)) if cost is not None]
    defined = {
        f"{case:02d}-{place:02d}"
        for place, (t, c) in zip(places, points, strict=True)
        if not any(x <= t and y <= c and (x < t or y < c) for x, y in points)
    }
    in_python = front_mask(np.array(points).reshape(-1, 2), BOTH_LOWER)
    assert {f"{case:02d}-{place:02d}" for place in np.array(places, dtype=int)[in_python]} == defined
    for way, call in WAYS.items():
        found = store.rows(f"SELECT run_id FROM {call}", [f"case-{case}"])[1]
        assert {run_id for (run_id,) in found} == defined, way
    turned = front_mask(np.array(points).reshape(-1, 2), ("higher", "lower"))
    call = "pareto('exe_time_s', 'cost_usd', experiment := ?, x_better := 'higher')"
    found = store.rows(f"SELECT run_id FROM {call}", [f"case-{case}"])[1]
    assert {run_id for (run_id,) in found} == {
        f"{case:02d}-{place:02d}" for place in np.array(places, dtype=int)[turned]
    }


def test_a_block_of_points_that_judges_no_further_changes_nothing() -> None:
    random = np.random.default_rng(0)  # more points than one block of the macro holds
    points = random.integers(0, 40, (500, 3)).astype(float)
    dominated = np.all(points[:, None] <= points, axis=2) & np.any(points[:, None] < points, axis=2)
    assert front_mask(points, ("lower", "lower", "lower")).tolist() == (~dominated.any(axis=0)).tolist()
