from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.analysis.comparison import ComparedRun, compare_groups
from framework.analysis.pareto import front_mask
from framework.contracts import MetricDefinition
from framework.errors import StoreError
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.views.results_view import IDENTITY, TRAILING, column_names

THROUGHPUT = MetricDefinition("total_tok_s", "tok/s", "tokens a second", "higher")
ITL = MetricDefinition("itl_mean_ms", "ms", "inter-token latency", "lower")


def columns(outputs, view: str = "results") -> list[str]:
    return Store(outputs).query(f"FROM {view} LIMIT 0").column_names


def middle(outputs) -> list[str]:
    """The columns of `results` between who the run is and the trailing ones."""
    return columns(outputs)[len(IDENTITY) : -len(TRAILING)]


def test_results_start_with_the_run_then_what_varied_then_the_metrics_as_defined(
    outputs, add_run, define_metrics
):
    define_metrics(THROUGHPUT, ITL)
    for batch in (8, 64):
        metrics = {"aaa_ms": 1.0, "itl_mean_ms": 2.0, "total_tok_s": 3.0}
        add_run(f"run-{batch}", metrics, params={"backend.max_num_seqs": batch})
    ingest(outputs)
    assert columns(outputs) == [
        *("run_id", "experiment", "backend", "model", "gpu"),
        *("max_num_seqs", "total_tok_s", "itl_mean_ms", "aaa_ms"),
        *("sanity", "sweep_id", "repeat", "started_at"),
    ]
    rows = Store(outputs).rows(
        "SELECT run_id, max_num_seqs, total_tok_s, model, gpu FROM results ORDER BY 2"
    )[1]
    assert rows == [("run-8", 8, 3.0, "opt-1.3b", "h100-64gb"), ("run-64", 64, 3.0, "opt-1.3b", "h100-64gb")]


def test_a_parameter_that_a_sweep_varied_is_a_column_even_with_one_value_so_far(outputs, add_run):
    add_run("run-1", {"m": 1.0}, varied=("backend.max_num_seqs",))
    ingest(outputs)
    assert middle(outputs) == ["max_num_seqs", "m"]


def test_what_the_model_implies_is_not_a_column_of_its_own(outputs, add_run):
    add_run("run-1", {"m": 1.0}, params={"model.name": "opt-1.3b", "model.layers": 24})
    add_run("run-2", {"m": 1.0}, params={"model.name": "opt-2.7b", "model.layers": 32})
    ingest(outputs)
    assert middle(outputs) == ["m"]
    add_run("run-3", {"m": 1.0}, params={"model.name": "opt-2.7b", "model.layers": 16})
    ingest(outputs)
    assert middle(outputs) == ["layers", "m"]


def test_a_workload_is_a_column_called_workload_and_what_it_implies_is_none(outputs, add_run):
    add_run("run-1", {"m": 1.0}, params={"workload.name": "sharegpt", "workload.mean": 110.6})
    add_run("run-2", {"m": 1.0}, params={"workload.name": "fixed", "workload.mean": 161})
    ingest(outputs)
    assert middle(outputs) == ["workload", "m"]
    add_run(
        "run-3", {"m": 1.0}, params={"workload.name": "fixed", "workload.mean": 161}, varied=["workload.mean"]
    )
    ingest(outputs)
    assert middle(outputs) == ["mean", "workload", "m"]


def test_columns_have_the_type_of_their_values(outputs, add_run):
    add_run(
        "run-1",
        {},
        params={"backend.n": 1, "backend.x": 1, "backend.on": True, "backend.s": "a", "backend.r": 1.0},
    )
    values = {
        "backend.n": 2,
        "backend.x": 1.5,
        "backend.on": False,
        "backend.s": 3,
        "backend.r": float("inf"),
    }
    add_run("run-2", {}, params=values)
    add_run("run-3", {}, params={**values, "backend.n": None})
    ingest(outputs)
    rows = Store(outputs).rows('SELECT n, x, "on", s, r FROM results ORDER BY run_id')[1]
    assert rows[:2] == [(1, 1.0, True, "a", 1.0), (2, 1.5, False, "3", float("inf"))]
    assert rows[2][0] is None


def test_an_ambiguous_leaf_keeps_its_whole_name(outputs, add_run):
    for value in (1, 2):
        add_run(f"run-{value}", {"m": 1.0}, params={"backend.rate": value, "workload.rate": 3 - value})
    ingest(outputs)
    assert middle(outputs) == ["backend.rate", "workload.rate", "m"]
    assert Store(outputs).rows('SELECT "backend.rate" FROM results ORDER BY run_id')[1] == [(1,), (2,)]


def test_names_that_sql_finds_hard_are_columns_all_the_same(outputs, add_run):
    names = ('say "hi"', "it's", "TOTAL", "total", "select", "run_id", "sanity", "ü ü")
    add_run("run-1", dict.fromkeys(names, 1.0))
    ingest(outputs)
    row = Store(outputs).query("FROM results").to_pylist()[0]
    assert sum(value == 1.0 for value in row.values()) == len(names)
    assert row["run_id"] == "run-1"


@given(
    params=st.lists(
        st.text(min_size=1, max_size=6).map(lambda text: f"group.{text}"), unique=True, max_size=6
    ),
    metrics=st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=6),
)
def test_column_names_are_as_many_as_asked_for_and_differ_even_without_case(params, metrics):
    param_columns, metric_columns = column_names(params, metrics)
    assert (len(param_columns), len(metric_columns)) == (len(params), len(metrics))
    everything = [name.casefold() for name in (*IDENTITY, *param_columns, *metric_columns, *TRAILING)]
    assert len(set(everything)) == len(everything)


def test_a_store_with_failures_only_has_empty_results(outputs, add_run):
    add_run("run-1", status="failed")
    ingest(outputs)
    assert columns(outputs) == [*IDENTITY, *TRAILING]
    assert Store(outputs).query("FROM results").num_rows == 0


def test_latest_keeps_the_newest_run_of_a_key_and_all_its_repeats(outputs, add_run):
    add_run("old", run_key="same", started_at="2026-01-01T00:00:00+00:00")
    add_run("new", run_key="same", started_at="2026-01-02T00:00:00+00:00")
    add_run("other", run_key="other")
    add_run("again", run_key="same", repeat=1)
    add_run("broken", run_key="other", status="failed", started_at="2026-01-03T00:00:00+00:00")
    ingest(outputs)
    assert Store(outputs).rows("SELECT run_id FROM latest ORDER BY 1")[1] == [
        ("again",),
        ("new",),
        ("other",),
    ]


def test_a_plugin_adds_views_and_a_broken_one_is_a_warning(outputs, add_run, define_metrics):
    good = "CREATE OR REPLACE VIEW fast AS SELECT run_id FROM results WHERE total_tok_s > 10"
    define_metrics(THROUGHPUT, statements=(good, "CREATE VIEW bad AS SELECT nothing FROM nowhere"))
    add_run("run-1")
    report = ingest(outputs)
    assert Store(outputs).rows("FROM fast")[1] == [("run-1",)]
    (warning,) = report.warnings
    assert "CREATE VIEW bad" in warning
    assert "\n" not in warning


def test_views_are_made_anew_when_a_plugin_changes_its_definitions(outputs, add_run, define_metrics):
    add_run("run-1")
    define_metrics()
    ingest(outputs)
    with pytest.raises(StoreError, match="no better direction"):
        Store(outputs).query("FROM pareto('total_tok_s', 'itl_mean_ms')")
    define_metrics(THROUGHPUT, ITL)
    ingest(outputs)
    assert Store(outputs).query("FROM pareto('total_tok_s', 'itl_mean_ms')").num_rows == 1


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points)
@pytest.mark.slow
def test_pareto_is_the_front_that_dominance_defines(tmp_path_factory, points):
    from framework.contracts import Metric
    from framework.run_record import RunRecord
    from framework.store.bundles.bundle import write_bundle

    outputs = tmp_path_factory.mktemp("outputs")
    for number, (x, y) in enumerate(points):
        metrics = (Metric("x", float(x)), Metric("y", float(y)), Metric.absent("z", "unknown"))
        record = RunRecord(
            f"r{number:02d}", "k", "e", "b", "done", "2026-01-01T00:00:00+00:00", metrics=metrics
        )
        write_bundle(outputs, record, {}, durable_writes=False)
    ingest(outputs)
    for better in (("higher", "lower"), ("lower", "lower"), ("higher", "higher")):
        query = f"SELECT run_id FROM pareto('x', 'y', x_better := '{better[0]}', y_better := '{better[1]}')"
        found = {run_id for (run_id,) in Store(outputs).rows(query)[1]}
        mask = front_mask(np.array(points, dtype=float), better)
        assert found == {f"r{number:02d}" for number in np.flatnonzero(mask)}


def test_pareto_takes_directions_from_definitions_and_leaves_unsound_runs_out(
    outputs, add_run, define_metrics
):
    define_metrics(THROUGHPUT, ITL)
    add_run("fast", {"total_tok_s": 9.0, "itl_mean_ms": 9.0})
    add_run("quick", {"total_tok_s": 5.0, "itl_mean_ms": 2.0}, experiment="other")
    add_run("worse", {"total_tok_s": 4.0, "itl_mean_ms": 3.0})
    add_run("lied", {"total_tok_s": 99.0, "itl_mean_ms": 0.1}, sanity="fail")
    add_run("unmeasured", {"total_tok_s": 99.0})
    ingest(outputs)
    store = Store(outputs)
    front = "SELECT run_id FROM pareto('total_tok_s', 'itl_mean_ms'{})"
    assert store.rows(front.format(""))[1] == [("fast",), ("quick",)]
    assert store.rows(front.format(", experiment := 'memory_gap'"))[1] == [("fast",), ("worse",)]
    assert store.rows(front.format(", model := 'llama'"))[1] == []
    assert columns(outputs, "pareto('total_tok_s', 'itl_mean_ms')") == columns(outputs)


def compared(outputs, group: str) -> list[ComparedRun]:
    store = Store(outputs)
    runs = []
    for (run_id,) in store.rows(
        "SELECT run_id FROM runs WHERE status = 'done' AND ? IN (run_id, sweep_id)", [group]
    )[1]:
        config = dict(
            store.rows("SELECT name, coalesce(value, 'null') FROM params WHERE run_id = ?", [run_id])[1]
        )
        values = "SELECT name, value FROM metrics WHERE run_id = ? AND value IS NOT NULL"
        runs.append(ComparedRun(run_id, config, dict(store.rows(values, [run_id])[1])))
    return runs


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_compare_agrees_with_the_same_comparison_in_python(outputs, add_run, define_metrics, repeats):
    define_metrics(THROUGHPUT, ITL)
    rng = np.random.default_rng(repeats)
    for sweep, shift in (("before", 1.0), ("after", 1.05)):
        for batch in (8, 64):
            for repeat in range(repeats):
                params = {"backend.max_num_seqs": batch, "workload.seed": repeat, "backend.engine": sweep}
                noise = rng.normal(1, 0.01, 3)
                metrics = {
                    "total_tok_s": 1000 * shift * noise[0],
                    "itl_mean_ms": 10 * noise[1],
                    "other": noise[2],
                }
                add_run(f"{sweep}-{batch}-{repeat}", metrics, params=params, sweep_id=sweep, repeat=repeat)
    ingest(outputs)
    definitions = {item.name: item for item in (THROUGHPUT, ITL)}
    expected = compare_groups(compared(outputs, "before"), compared(outputs, "after"), definitions)
    # with one run a point, the floor: no configuration was repeated, so that there is no reference band
    columns_, rows = Store(outputs).rows("FROM compare('before', 'after')")
    found = [dict(zip(columns_, row, strict=True)) for row in rows]
    config = {(row["name"], row["setting_a"], row["setting_b"]) for row in found if row["kind"] == "config"}
    assert config == {(item.name, ", ".join(item.in_a), ", ".join(item.in_b)) for item in expected.config}
    assert config == {("backend.engine", "before", "after")}
    by_place = {
        (row["name"], row["point"]): (
            row["verdict"],
            row["runs_a"],
            row["noise_source"],
            row["change"],
            row["noise"],
        )
        for row in found
        if row["kind"] == "metric"
    }
    assert len(by_place) == len(expected.differences) == 6
    for item in expected.differences:
        point = " ".join(f"{name}={value}" for name, value in item.point)
        verdict, runs, source, change, noise = by_place[item.metric, point]
        assert (verdict, runs, source) == (item.verdict, item.runs_a, item.noise_source)
        assert (change, noise) == (pytest.approx(item.change), pytest.approx(item.noise))


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
    assert (metric, degrees, sd, band) == ("total_tok_s", 2, pytest.approx(0.02), pytest.approx(4.303 * 0.02))
    verdict = "SELECT verdict, noise_source, noise FROM compare('a', ?) WHERE kind = 'metric'"
    # 4.303 * 0.02 * sqrt(2) * 200 = 24.3: a difference of 20 is noise, one of 30 is not
    assert store.rows(verdict, ["b"])[1] == [("same", "reference", pytest.approx(0.1217, rel=1e-3))]
    assert store.rows(verdict, ["c"])[1][0][:2] == ("worse", "reference")
