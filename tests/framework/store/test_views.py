from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.contracts import Metric, MetricDefinition
from framework.errors import StoreError
from framework.store.bundles.bundle import write_bundle
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework.store.views.definitions_view import mixed_definitions
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


@pytest.mark.slow
def test_what_the_model_implies_is_not_a_column_of_its_own(outputs, add_run):
    add_run("run-1", {"m": 1.0}, params={"model.name": "opt-1.3b", "model.layers": 24})
    add_run("run-2", {"m": 1.0}, params={"model.name": "opt-2.7b", "model.layers": 32})
    ingest(outputs)
    assert middle(outputs) == ["m"]
    add_run("run-3", {"m": 1.0}, params={"model.name": "opt-2.7b", "model.layers": 16})
    ingest(outputs)
    assert middle(outputs) == ["layers", "m"]


@pytest.mark.slow
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


@pytest.mark.slow
def test_views_are_made_anew_when_a_plugin_changes_its_definitions(outputs, add_run, define_metrics):
    add_run("run-1")
    define_metrics()
    ingest(outputs)
    with pytest.raises(StoreError, match="no better direction"):
        Store(outputs).query("FROM pareto('total_tok_s', 'itl_mean_ms')")
    define_metrics(THROUGHPUT, ITL)
    ingest(outputs)
    assert Store(outputs).query("FROM pareto('total_tok_s', 'itl_mean_ms')").num_rows == 1


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


@pytest.mark.slow
def test_results_say_whose_definition_a_run_has_only_while_definitions_are_mixed(outputs, record):
    for number, code in enumerate(["first", "first", "second"]):
        metrics = [Metric("ttft_mean_ms", 1.0, derivation=code), Metric("itl_p50_ms", 2.0)]
        run = record(f"run-{number}", metrics=metrics, code_version="twin 1", derivation_hash=code)
        write_bundle(outputs, run, {})
        ingest(outputs)
        store = Store(outputs)
        columns, rows = store.rows("SELECT * FROM results ORDER BY run_id")
        assert ("definition" in columns) == (number == 2)
    assert [row[columns.index("definition")] for row in rows] == ["first", "first", "second"]
    warning = mixed_definitions(store)
    assert warning.startswith("2 definitions of ttft_mean_ms are mixed: first in 2 runs, second in 1 run; ")
    assert warning.endswith(
        f"`python -m framework derive --outputs {outputs}` derives them all by the present one"
    )
    assert mixed_definitions(store, ["run-0", "run-1"]) is None


def test_what_a_run_from_before_definitions_were_recorded_holds_is_unknown(outputs, record):
    for run_id, code in (("run-1", "now"), ("run-2", ""), ("imported", "")):
        metrics = [Metric("ttft_mean_ms", 1.0, derivation=code or None)]
        version = "" if run_id == "imported" else "twin 1"
        run = record(run_id, metrics=metrics, code_version=version, derivation_hash=code)
        write_bundle(outputs, run, {})
    ingest(outputs)
    found = Store(outputs).rows("SELECT run_id, definition FROM definitions ORDER BY run_id")[1]
    assert found == [("run-1", "now"), ("run-2", "unknown")]
