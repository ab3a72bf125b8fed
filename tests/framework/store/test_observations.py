"""The same run done twice is one observation: in bands, comparisons, and what a predictor learns from."""

from __future__ import annotations

import pytest

from framework.analysis.prediction.logged_runs import logged_runs
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

SEEDS = (99.0, 100.0, 104.0)


@pytest.fixture(params=[1, 4], ids=["once", "copied"])
def store(outputs, add_run, request):
    """Three repeats of each of two sweeps, the second one faster by 3; each run done so many times."""
    for sweep, shift in (("a", 0.0), ("b", 3.0)):
        for repeat, value in enumerate(SEEDS):
            for copy in range(request.param):
                add_run(
                    f"{sweep}-{repeat}-{copy}",
                    {"total_tok_s": value + shift},
                    params={"backend.batch": 8, "workload.seed": repeat},
                    sweep_id=sweep,
                    repeat=repeat,
                    run_key=f"{sweep}-{repeat}",
                )
    ingest(outputs)
    return Store(outputs)


def test_bands_and_comparisons_know_three_repeats_however_often_each_was_done(store):
    _, ((degrees,),) = store.rows("SELECT degrees FROM reference_bands")
    _, ((runs_a, runs_b, verdict),) = store.rows(
        "SELECT runs_a, runs_b, verdict FROM compare('a', 'b') WHERE kind = 'metric'"
    )
    assert (degrees, runs_a, runs_b) == (5, 3, 3)
    assert verdict == "same"  # four copies of each would make 3 of 100 a difference
    _, ((runs,),) = store.rows("SELECT runs FROM setting_values(['total_tok_s'], names := ['a'])")
    assert runs == 3


def test_a_predictor_learns_from_each_run_once(store):
    assert len(logged_runs(store, "total_tok_s")) == 6


def test_a_copy_that_failed_its_checks_or_was_archived_does_not_hide_the_good_one(outputs, add_run):
    for name, sanity in (("good", "pass"), ("worse", "fail")):
        add_run(name, {"total_tok_s": 1.0}, run_key="same", sanity=sanity)
    ingest(outputs)
    assert Store(outputs).rows("SELECT run_id FROM observations")[1] == [("good",)]


def test_a_copy_is_compared_with_its_original_if_both_are_named(outputs, add_run):
    for name in ("first", "second"):
        add_run(name, {"total_tok_s": 1.0}, run_key="same")
    ingest(outputs)
    rows = Store(outputs).rows("SELECT verdict FROM compare('first', 'second') WHERE kind = 'metric'")[1]
    assert rows == [("same",)]
