"""The macro `compare`: matching point by point, the noise band, verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import stdtrit

from framework.contracts import MetricDefinition
from framework.quantity import NOISE_FLOOR, student_t_975
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store

THROUGHPUT = MetricDefinition("total_tok_s", "tok/s", "tokens a second", "higher")
ITL = MetricDefinition("itl_mean_ms", "ms", "inter-token latency", "lower")


@pytest.fixture
def groups(outputs, add_run, define_metrics):
    """Write runs of sweeps `a` and `b`, each (metrics, parameters), and return the comparison's rows."""

    def write(a, b, floor=NOISE_FLOOR):
        define_metrics(THROUGHPUT, ITL)
        for sweep, runs in (("a", a), ("b", b)):
            for number, (metrics, params) in enumerate(runs):
                add_run(f"{sweep}-{number}", metrics, params=params, sweep_id=sweep, repeat=number)
        ingest(outputs)
        columns, rows = Store(outputs).rows("FROM compare('a', 'b', noise_floor := ?)", [floor])
        return [dict(zip(columns, row, strict=True)) for row in rows]

    return write


def repeats(values, **params):
    return [({"total_tok_s": value}, {"workload.seed": seed, **params}) for seed, value in enumerate(values)]


def settings(rows):
    return {row["name"]: (row["setting_a"], row["setting_b"]) for row in rows if row["kind"] == "config"}


def measured(rows):
    return {(row["name"], row["point"]): row for row in rows if row["kind"] == "metric"}


def verdicts(rows):
    return {row["name"]: row["verdict"] for row in rows if row["kind"] == "metric"}


def test_two_single_runs_are_judged_by_direction_and_their_difference_is_named(groups):
    rows = groups(
        [({"total_tok_s": 1000.0, "itl_mean_ms": 20.0, "other": 1.0}, {"backend.max_num_seqs": 256})],
        [({"total_tok_s": 1200.0, "itl_mean_ms": 30.0, "other": 2.0}, {"backend.max_num_seqs": 512})],
    )
    assert settings(rows) == {"backend.max_num_seqs": ("256", "512")}
    assert verdicts(rows) == {"total_tok_s": "better", "itl_mean_ms": "worse", "other": "different"}
    assert measured(rows)["total_tok_s", ""]["change"] == pytest.approx(0.2)


@pytest.mark.parametrize(("floor", "verdict"), [(NOISE_FLOOR, "same"), (0.01, "better")])
def test_without_repeats_a_difference_within_the_floor_is_the_same(groups, floor, verdict):
    a, b = (
        [({"total_tok_s": value}, {"backend.max_num_seqs": batch})]
        for value, batch in ((100.0, 8), (103.0, 64))
    )
    rows = groups(a, b, floor)
    (row,) = measured(rows).values()
    assert (row["verdict"], row["noise_source"]) == (verdict, "floor")


@pytest.mark.parametrize(("shift", "verdict"), [(2.0, "same"), (3.0, "better"), (-3.0, "worse")])
def test_the_band_from_repeats_is_students_t_on_the_pooled_variance(groups, shift, verdict):
    # variances 1 and 1, three repeats each: t(0.975, 4) * sqrt(1 * 2 / 3) = 2.776 * 0.8165 = 2.2667
    rows = groups(repeats([99.0, 100.0, 101.0]), repeats([99 + shift, 100 + shift, 101 + shift]))
    (row,) = measured(rows).values()
    assert row["noise"] == pytest.approx(2.2667 / 100, rel=1e-3)
    assert (row["noise_source"], row["runs_a"], row["runs_b"]) == ("repeats", 3, 3)
    assert row["verdict"] == verdict
    assert settings(rows) == {}  # a seed numbers repeats: it is no difference


def test_sweeps_are_matched_point_by_point(groups):
    def sweep(batches, chunked, factor):
        return [
            ({"total_tok_s": batch * factor}, {"backend.max_num_seqs": batch, "backend.chunked": chunked})
            for batch in batches
        ]

    rows = groups(sweep([2, 4, 16, 32], "no", 10.0), sweep([4, 16, 64], "yes", 8.0))
    assert {point: row["verdict"] for (_, point), row in measured(rows).items()} == {
        "backend.max_num_seqs=4": "worse",
        "backend.max_num_seqs=16": "worse",
    }
    assert list(settings(rows)) == ["backend.chunked"]


def test_a_parameter_that_one_group_lacks_is_a_difference_and_no_obstacle_to_matching(groups):
    def runs(**more):
        return [({"total_tok_s": 1.0}, {"backend.max_num_seqs": batch, **more}) for batch in (8, 64)]

    rows = groups(runs(**{"backend.profile": "own"}), runs())
    assert settings(rows) == {"backend.profile": ("own", None)}
    assert len(measured(rows)) == 2


def test_a_metric_that_one_group_lacks_is_not_compared(groups):
    rows = groups([({"total_tok_s": 1.0, "energy_j": 2.0}, {})], [({"total_tok_s": 1.0, "power_w": 2.0}, {})])
    assert verdicts(rows) == {"total_tok_s": "same"}


def test_a_change_from_zero_has_no_percentage_but_a_verdict(groups):
    a, b = (
        [({"itl_mean_ms": value}, {"backend.max_num_seqs": batch})] for value, batch in ((0.0, 8), (2.0, 64))
    )
    (row,) = measured(groups(a, b)).values()
    assert (row["change"], row["noise"], row["verdict"]) == (None, None, "worse")


@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_groups_reverses_the_verdict(groups, outputs, seed):
    random = np.random.default_rng(seed)
    a, b = (repeats(random.uniform(90, 110, random.integers(1, 6)).tolist()) for _ in range(2))
    forth = verdicts(groups(a, b))
    (back,) = Store(outputs).rows("SELECT verdict FROM compare('b', 'a') WHERE kind = 'metric'")[1]
    assert {"better": "worse", "worse": "better", "same": "same"}[forth["total_tok_s"]] == back[0]


def test_sql_and_python_have_the_quantiles_of_students_t(outputs, add_run):
    add_run("run")
    ingest(outputs)
    degrees = list(range(1, 201))
    rows = Store(outputs).rows("SELECT student_t(unnest(?::BIGINT[]))", [degrees])[1]
    assert [value for (value,) in rows] == [student_t_975(number) for number in degrees]
    degrees += [1000, 10**6]
    exact = stdtrit(degrees, 0.975).tolist()
    assert [student_t_975(number) for number in degrees] == pytest.approx(exact, rel=1e-10)


def test_a_single_run_is_judged_against_the_scatter_that_its_system_showed(outputs, add_run, define_metrics):
    define_metrics(THROUGHPUT)
    for seed, value in enumerate((100.0, 102.0, 98.0)):  # sd 2, so 2 %; t(2) = 4.303
        add_run(
            f"reference-{seed}", {"total_tok_s": value}, params={"workload.seed": seed}, sweep_id="reference"
        )
    add_run("a", {"total_tok_s": 200.0}, params={"backend.max_num_seqs": 8}, sweep_id=None)
    add_run("b", {"total_tok_s": 180.0}, params={"backend.max_num_seqs": 9}, sweep_id=None)
    add_run("c", {"total_tok_s": 170.0}, params={"backend.max_num_seqs": 10}, sweep_id=None)
    ingest(outputs)
    store = Store(outputs)
    ((metric, degrees, sd, band),) = store.rows(
        "SELECT metric, degrees, relative_sd, relative_band FROM reference_bands"
    )[1]
    assert (metric, degrees, sd, band) == (
        "total_tok_s",
        2,
        pytest.approx(0.02),
        pytest.approx(4.3027 * 0.02, rel=1e-4),
    )
    verdict = "SELECT verdict, noise_source, noise FROM compare('a', ?) WHERE kind = 'metric'"
    # 4.303 * 0.02 * sqrt(2) * 200 = 24.3: a difference of 20 is noise, one of 30 is not
    assert store.rows(verdict, ["b"])[1] == [("same", "reference", pytest.approx(0.1217, rel=1e-3))]
    assert store.rows(verdict, ["c"])[1][0][:2] == ("worse", "reference")
