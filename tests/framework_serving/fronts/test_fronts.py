from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Metric, TableBlock
from framework.run_record import RunRecord
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework_serving.fronts.front_points import FRONTS, LATENCY, THROUGHPUT, Front, front_gain, fronts
from framework_serving.report.serving_sections import sections
from framework_serving.sweeps.knees import find_knee, growth_exponent
from framework_serving.sweeps.sweep_points import SweepPoint, curves, load_points

BASE = {"model.name": "opt-1.3b", "gpu.name": "H100-64GB", "workload.name": "sharegpt", "backend.replicas": 1}


def point(store: Any, rate: Any, latency: Any, batch: int = 8, **metrics: Any) -> None:
    found = {"total_tok_s": rate, "itl_mean_ms": latency, "preemptions": 0.0, **metrics}
    store.add({**BASE, "backend.max_num_seqs": batch}, found)


def only_front(store: Any) -> Front:
    (front,) = fronts(load_points(store, store.run_ids), (THROUGHPUT, LATENCY))
    return front


def test_preempting_run_neither_joins_the_front_nor_pushes_another_off_it(store: Any) -> None:
    point(store, 100.0, 5.0, batch=8)
    point(store, 900.0, 4.0, batch=16, preemptions=3.0)
    assert [item.max_num_seqs for item in only_front(store).points] == [8]


def test_points_of_other_workloads_are_not_compared(store: Any) -> None:
    point(store, 100.0, 5.0)
    store.add(
        {**BASE, "workload.name": "fixed", "backend.max_num_seqs": 8},
        {"total_tok_s": 200.0, "itl_mean_ms": 4.0},
    )
    assert len(fronts(load_points(store, store.run_ids), (THROUGHPUT, LATENCY))) == 2


def test_point_beaten_within_the_intervals_may_be_on_the_front(store: Any) -> None:
    point(store, (100.0, 95.0, 105.0), (5.0, 4.9, 5.1), batch=8)
    point(store, (103.0, 98.0, 108.0), (4.95, 4.8, 5.05), batch=16)
    point(store, (50.0, 49.0, 51.0), (9.0, 8.9, 9.1), batch=4)
    front = only_front(store)
    state = {
        item.max_num_seqs: (kept, possible)
        for item, kept, possible in zip(front.candidates, front.on_front, front.possible, strict=True)
    }
    assert state == {8: (False, True), 16: (True, True), 4: (False, False)}


def test_membership_is_certain_for_a_point_far_from_all_others_and_shared_by_near_twins(store: Any) -> None:
    point(store, 100.0, 5.0, batch=8)
    point(store, 100.1, 5.0, batch=16)
    point(store, 1.0, 0.1, batch=1)
    front = only_front(store)
    share = {item.max_num_seqs: value for item, value in zip(front.candidates, front.membership, strict=True)}
    assert share[1] == 1.0
    assert 0.4 < share[8] < 0.95
    assert 0.4 < share[16] < 0.95


def test_area_of_a_front_grows_by_what_only_the_new_points_dominate(store: Any) -> None:
    from math import log

    point(store, 100.0, 10.0, batch=8)
    point(store, 50.0, 5.0, batch=4)
    point(store, 120.0, 20.0, batch=16)
    old, low, new = load_points(store, store.run_ids)
    # corner (0 tok/s, 20 ms) once the new point is in; its own latency is the corner: it adds nothing
    assert front_gain([new], [old, low]) == pytest.approx(0.0)
    assert front_gain([old], [low, new]) == pytest.approx(
        (50 * log(20 / 5) + 50 * log(20 / 10)) / (50 * log(20 / 5)) - 1
    )
    assert front_gain([new], []) is None


def test_knee_of_an_affine_engine_is_where_the_study_says(store: Any, engine_of: Any) -> None:
    # 95 % knee of R / (T0 + a R) is at R = 19 · T0 / a = 760 (slm_pareto study, §5) of the plateau that is
    # 2 % above T(4000)
    engine = engine_of(t0_ms=4.0, slope_ms=0.1, batch_full=10**6)
    for batch in (1, 256, 512, 600, 650, 700, 760, 4000):
        store.add({**BASE, "backend.max_num_seqs": batch}, engine.metrics(batch))
    (curve,) = curves(load_points(store, store.run_ids))
    knee = find_knee(curve)
    assert knee is not None
    assert knee.at_share.max_num_seqs == 650  # 0.95 · 4000/404 = R / (4 + 0.1 R) at R = 634
    assert (knee.smallest.max_num_seqs, knee.largest.max_num_seqs, knee.memory_bound) == (1, 4000, False)


def test_growth_exponent_is_one_for_what_doubles_with_the_batch(store: Any) -> None:
    point(store, 100.0, 5.0, batch=8, running_mean=8.0)
    point(store, 100.0, 20.0, batch=32, running_mean=32.0)
    ends = load_points(store, store.run_ids)
    assert growth_exponent(ends, "itl_mean_ms") == pytest.approx(1.0)
    assert growth_exponent(ends, "total_tok_s") == pytest.approx(0.0)
    assert growth_exponent(ends, "energy_j_per_token") is None
    assert growth_exponent(ends[:1], "itl_mean_ms") is None


def _random_runs(seed: int) -> list[RunRecord]:
    """Runs of two models with repeats, ties, intervals, missing metrics, preemptions and failed checks."""
    draw = random.Random(seed)
    records = []
    for number in range(60):
        values = {
            "total_tok_s": draw.choice([None, *range(90, 100)]),
            "itl_mean_ms": draw.randrange(10, 20),
            "energy_j_per_token": draw.choice([None, 0.1, 0.2, 0.3, 0.4]),
            "preemptions": draw.choice([0, 0, 0, 0, 2]),
        }  # fmt: skip
        spread = draw.choice([None, 0.05])
        metrics = [
            Metric.absent(name, "not measured")
            if value is None
            else Metric(name, float(value))
            if spread is None
            else Metric(name, float(value), low=value * (1 - spread), high=value * (1 + spread))
            for name, value in values.items()
        ]
        repeat = draw.choice([0, 0, 1])
        config = {
            "model": {"name": draw.choice(["opt-1.3b", "opt-125m"])},
            "gpu": {"name": "H100-64GB", "tdp_w": None},
            "backend": {
                "name": "twin",
                "max_num_seqs": draw.choice([8, 16, 32, 64]),
                "replicas": draw.choice([1, 2, 4]),
            },
            "workload": {"name": draw.choice(["sharegpt", "fixed"]), "seed": 0},
        }
        records.append(
            RunRecord(
                run_id=f"run-{number:03d}",
                run_key=f"key-{number}",
                job_key=f"job-{number}",
                experiment="study",
                backend="twin",
                status="done",
                started_at=f"2026-01-01T00:00:{number:02d}.000001+00:00",
                finished_at="2026-01-01T00:02:00+00:00",
                sweep_id="sweep",
                repeat=repeat,
                seed=repeat,
                sanity=draw.choice(["pass", "pass", "pass", "warn", "fail"]),
                config=config,
                metrics=tuple(metrics),
            )
        )
    return records


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_fronts_in_the_report_and_by_sql_agree(tmp_path: Path, seed: int) -> None:
    for record in _random_runs(seed):
        write_bundle(tmp_path, record, {})
    ingest(tmp_path)
    store = Store(tmp_path)
    current = [row["run_id"] for row in store.query("SELECT run_id FROM serving_points").to_pylist()]
    points = load_points(store, current)
    for objectives in FRONTS:
        names = [objective.metric for objective in objectives]
        found = fronts(points, objectives)
        nominal = [item for front in found for item in front.points]
        possible = [
            item for front in found for item, may in zip(front.candidates, front.possible, strict=True) if may
        ]
        assert _runs(nominal) == _front_by_sql(store, names, False)
        assert _runs(possible) == _front_by_sql(store, names, True)
        assert nominal
        assert len(possible) > len(nominal)


def _runs(points: list[SweepPoint]) -> set[str]:
    return {run_id for item in points for run_id in item.run_ids}


def _front_by_sql(store: Store, objectives: list[str], noise_aware: bool) -> set[str]:
    table = store.query(
        "SELECT run_id FROM serving_front(objectives := ?, experiment := 'study', noise_aware := ?)",
        [objectives, noise_aware],
    )
    return set(table["run_id"].to_pylist())


def test_section_lists_each_front_with_figures_knees_and_replicas(store: Any, affine_engine: Any) -> None:
    for replicas in (1, 2):
        for batch in (1, 8, 64, 256):
            metrics = {**affine_engine.metrics(batch), "energy_j_per_token": 1.0 / batch**0.5 * replicas}
            store.add({**BASE, "backend.replicas": replicas, "backend.max_num_seqs": batch}, metrics)
    (section,) = [item for item in sections(store.report_scope()) if item.title == "Pareto fronts"]
    titles = [block.title for block in section.blocks if not isinstance(block, str)]
    assert titles == [
        "Pareto front: tok/s and ITL",
        "Pareto front: tok/s and J/token",
        "Pareto front: tok/s, ITL and J/token",
        "Knees of single engines",
        "Gain of the front from replicas",
        "Configurations on a Pareto front",
    ]
    table = section.blocks[-1]
    stairs = section.blocks[0].spec["data"][0]  # type: ignore[union-attr]
    # best throughput first: down at its own latency, then left to the next point, what a limit in between gets
    assert stairs["line"]["shape"] == "vh"
    assert stairs["y"] == sorted(stairs["y"], reverse=True)
    assert isinstance(table, TableBlock)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert (
        "serving_front(objectives := ['total_tok_s', 'itl_mean_ms', 'energy_j_per_token'])" in table.caption
    )
