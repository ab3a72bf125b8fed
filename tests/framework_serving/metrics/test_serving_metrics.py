from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from framework.contracts import Metric, Result, WorkloadTables
from framework.store.database.schema import declared_tables
from framework_serving import tables
from framework_serving.metrics.adapter_stats import ADAPTER_STATS_VIEW, jain_index
from framework_serving.metrics.metric_definitions import SERVING_METRICS
from framework_serving.metrics.serving_metrics import derive

ROWS = [
    # arrival, scheduled, first, last, input, output, adapter, preemptions, status
    (0.0, 0.1, 0.5, 2.5, 10, 5, 0, 0, "finished"),
    (0.0, 0.2, 1.0, 4.0, 20, 3, 1, 2, "finished"),
    (1.0, 1.0, 2.0, 2.0, 30, 1, 1, 0, "finished"),
    (2.0, 3.0, None, None, 40, 0, 1, 0, "running"),
]
ASKED_OUTPUT = [5, 3, 1, 9]


def requests(rows: list[tuple[Any, ...]] = ROWS) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    ids = list(range(len(rows)))
    return pa.table([ids, *columns, [None] * len(rows)], schema=tables.requests_out())


def samples(**series: list[float]) -> pa.Table:
    rows = [(float(t), name, value) for name, values in series.items() for t, value in enumerate(values)]
    return pa.table(list(zip(*rows, strict=True)), schema=declared_tables()["samples"])


def workload(horizon_s: float | None = None) -> WorkloadTables:
    asked = requests().select(["request_id", "arrival_s", "input_tokens", "output_tokens", "adapter_id"])
    asked = asked.set_column(3, asked.schema.field(3), [ASKED_OUTPUT])
    adapters = pa.table([[0, 1], [8, 16], [0.5, 0.5]], schema=tables.adapters())
    return WorkloadTables({"requests": asked, "adapters": adapters}, "hash", {"horizon_s": horizon_s})


def derived(
    result: Result, config: dict[str, Any] | None = None, asked: WorkloadTables | None = None
) -> dict[str, Metric]:
    return {metric.name: metric for metric in derive(config or {}, asked, result)}


def values(
    result: Result, config: dict[str, Any] | None = None, asked: WorkloadTables | None = None
) -> dict[str, Any]:
    return {name: metric.value for name, metric in derived(result, config, asked).items()}


def test_throughput_counts_tokens_of_finished_requests_over_the_whole_run() -> None:
    found = values(Result(tables={"requests": requests()}))
    assert found["completed"] == 3
    assert found["duration_s"] == 4.0
    assert found["total_tok_s"] == (15 + 23 + 31) / 4
    assert found["output_tok_s"] == 9 / 4
    assert found["requests_s"] == 3 / 4


def test_duration_is_what_the_backend_says_or_the_time_the_run_was_cut() -> None:
    stated = Result(tables={"requests": requests()}, facts={"duration_s": 8.0})
    assert values(stated)["total_tok_s"] == 69 / 8
    cut = values(Result(tables={"requests": requests()}), asked=workload(horizon_s=10.0))
    assert cut["duration_s"] == 10.0


def test_itl_pools_all_gaps_while_tpot_averages_requests() -> None:
    found = values(Result(tables={"requests": requests()}))
    assert found["itl_mean_ms"] == pytest.approx(1000 * (2.0 + 3.0) / (4 + 2))
    assert found["tpot_mean_ms"] == pytest.approx(1000 * (0.5 + 1.5) / 2)


def test_percentiles_of_single_token_gaps_are_absent_not_guessed() -> None:
    found = derived(Result(tables={"requests": requests()}))
    assert found["itl_p99_ms"].value is None
    assert "single tokens" in (found["itl_p99_ms"].reason or "")


def test_latencies_count_finished_requests_only() -> None:
    found = values(Result(tables={"requests": requests()}))
    assert found["ttft_mean_ms"] == pytest.approx(1000 * (0.5 + 1.0 + 1.0) / 3)
    assert found["ttft_p50_ms"] == pytest.approx(1000.0)
    assert found["e2e_p90_ms"] == pytest.approx(1000 * np.percentile([2.5, 4.0, 1.0], 90))


def test_censored_ttft_counts_an_unfinished_request_with_the_whole_window() -> None:
    # data README: (mean TTFT · completed + (sent - completed) · duration) / sent
    found = values(Result(tables={"requests": requests()}), asked=workload(horizon_s=10.0))
    assert found["ttft_censored_ms"] == pytest.approx(1000 * (2.5 + 10.0) / 4)


def test_request_that_never_arrived_counts_nowhere() -> None:
    late = (9.0, None, None, None, 99, 0, 1, 0, "not_arrived")
    assert values(Result(tables={"requests": requests([*ROWS, late])})) == values(
        Result(tables={"requests": requests()})
    )


@pytest.mark.parametrize(
    ("slo", "expected"),
    [
        ({"ttft_ms": 600}, 1 / 4),
        ({"tpot_ms": 600}, 2 / 4),
        ({"ttft_ms": 1000, "tpot_ms": 600}, 2 / 4),
        ({"ttft_ms": 100}, 0.0),
    ],
)
def test_goodput_counts_requests_that_meet_every_objective(slo: dict[str, float], expected: float) -> None:
    found = values(Result(tables={"requests": requests()}), {"workload": {"slo": slo}})
    assert found["goodput_requests_s"] == expected


def test_goodput_without_objective_is_absent_with_the_key_to_set() -> None:
    found = derived(Result(tables={"requests": requests()}), {"workload": {"slo": {"ttft_ms": None}}})
    assert "workload.slo.ttft_ms" in (found["goodput_requests_s"].reason or "")


def test_running_mean_leaves_out_idle_samples_and_weights_by_time() -> None:
    series = samples(running=[0, 4, 4, 2, 0], kv_usage=[0, 0.5, 0.7, 0.2, 0], waiting=[0, 9, 3, 0, 0])
    found = derived(Result(tables={"requests": requests(), "samples": series}))
    assert found["running_mean"].value == pytest.approx(10 / 3)
    assert found["running_mean"].source == "samples"
    assert found["kv_usage_peak"].value == 0.7
    assert found["waiting_peak"].value == 9


def test_running_mean_without_samples_comes_from_request_times() -> None:
    found = derived(Result(tables={"requests": requests()}))
    assert found["running_mean"].value == pytest.approx((2.4 + 3.8 + 1.0) / 3.9)
    assert found["running_mean"].source == "requests"
    assert found["kv_usage_peak"].value is None


def test_preemptions_are_summed_and_unknown_ones_are_not_zero() -> None:
    assert values(Result(tables={"requests": requests()}))["preemptions"] == 2
    unknown = requests().set_column(8, tables.requests_out().field(8), pa.nulls(4, pa.int64()))
    assert derived(Result(tables={"requests": unknown}))["preemptions"].value is None
    sampled = Result(tables={"requests": unknown, "samples": samples(preemptions=[0, 3, 5])})
    assert values(sampled)["preemptions"] == 5


def test_kv_cache_size_needs_blocks_and_their_bytes() -> None:
    # golden: 18,573 blocks × 3 MiB = 54.41 GiB (OPT-1.3B on the H100 64 GB)
    facts = {"kv_blocks": 18_573, "kv_block_bytes": 3 * 2**20}
    assert values(Result(tables={"requests": requests()}, facts=facts))["kv_cache_gib"] == pytest.approx(
        54.41, abs=0.005
    )
    twice = values(Result(tables={"requests": requests()}, facts=facts), {"backend": {"replicas": 2}})
    assert twice["kv_cache_gib"] == pytest.approx(108.83, abs=0.005)
    assert derived(Result(tables={"requests": requests()}))["kv_cache_gib"].value is None


def test_energy_is_power_times_duration_unless_it_was_counted() -> None:
    power = Metric("power_mean_w", 300.0, "W", "model")
    found = derived(Result([power], {"requests": requests()}))
    assert "power_mean_w" not in found
    assert found["energy_j"].value == 1200.0
    assert found["energy_j_per_token"].value == pytest.approx(1200 / 69)
    counted = derived(Result([power, Metric("energy_j", 690.0, "J", "nvml")], {"requests": requests()}))
    assert "energy_j" not in counted
    assert counted["energy_j_per_token"].value == 10.0


def test_energy_without_a_sensor_is_absent_with_its_reason() -> None:
    absent = Metric.absent("power_mean_w", "no NVIDIA driver", "W")
    found = derived(Result([absent], {"requests": requests()}))
    assert found["energy_j"].value is None
    assert found["energy_j_per_token"].reason == "no NVIDIA driver"


def test_metric_of_the_backend_is_never_overridden() -> None:
    own = Metric("itl_mean_ms", 1.0, "ms", "engine")
    assert "itl_mean_ms" not in derived(Result([own], {"requests": requests()}))


def test_every_fixed_metric_is_there_as_a_value_or_with_a_reason() -> None:
    found = derived(Result(tables={"requests": requests()}))
    assert set(found) == {definition.name for definition in SERVING_METRICS}
    assert all(metric.value is not None or metric.reason for metric in found.values())


def test_run_in_which_nothing_finished_has_no_latency_and_no_zero() -> None:
    stuck = [(0.0, None, None, None, 10, 0, 0, 0, "waiting")] * 2
    found = derived(Result(tables={"requests": requests(stuck)}))
    assert found["completed"].value == 0
    for name in (
        "total_tok_s",
        "ttft_mean_ms",
        "itl_mean_ms",
        "e2e_p99_ms",
        "energy_j_per_token",
        "running_mean",
    ):
        assert found[name].value is None
        assert found[name].reason
    cut = values(Result(tables={"requests": requests(stuck)}), asked=WorkloadTables({}, "", {}))
    assert cut["duration_s"] is None


def test_run_of_another_domain_gets_no_serving_metric() -> None:
    jobs = pa.table({"job": [1]})
    assert derive({}, None, Result(tables={"jobs": jobs})) == []
    assert derive({}, None, Result(tables={"requests": jobs})) == []


def test_starvation_and_fairness_compare_served_with_offered_tokens() -> None:
    found = values(Result(tables={"requests": requests()}), asked=workload(horizon_s=10.0))
    # offered: adapter 0 15 tokens, adapter 1 23 + 31 + 49; served: 15 and 54
    assert found["starved"] == 1
    assert found["adapters_starved"] == 1
    shares = np.array([1.0, 54 / 103])
    assert found["fairness_jain"] == pytest.approx(shares.sum() ** 2 / (2 * (shares**2).sum()))


def test_starvation_is_undefined_where_every_request_is_served_in_the_end() -> None:
    assert derived(Result(tables={"requests": requests()}), asked=workload())["starved"].value is None


def test_jain_index_of_equals_is_one_and_of_a_single_winner_one_nth() -> None:
    assert jain_index(np.array([3.0, 3.0, 3.0])) == pytest.approx(1.0)
    assert jain_index(np.array([1.0, 0.0, 0.0, 0.0])) == pytest.approx(0.25)
    assert jain_index(np.zeros(3)) == 1.0


def test_adapter_stats_view_lists_each_adapter_of_a_run(store: Any) -> None:
    connection: duckdb.DuckDBPyConnection = store.connection
    table = requests().append_column("run_id", [["r"] * 4])
    connection.register("own", table)
    connection.execute(
        "INSERT INTO requests BY NAME SELECT run_id, adapter_id, arrival_s, first_token_s, last_token_s,"
        " input_tokens, output_tokens, status FROM own"
    )
    connection.execute("INSERT INTO metrics (run_id, name, value) VALUES ('r', 'duration_s', 10)")
    connection.execute(ADAPTER_STATS_VIEW)
    rows = store.query("SELECT * FROM adapter_stats ORDER BY adapter_id").to_pylist()
    assert [(row["adapter_id"], row["sent"], row["completed"], row["starved"]) for row in rows] == [
        (0, 1, 1, False),
        (1, 3, 2, True),
    ]
    assert rows[1]["total_tok_s"] == pytest.approx(5.4)
    assert rows[0]["ttft_mean_ms"] == pytest.approx(500)
