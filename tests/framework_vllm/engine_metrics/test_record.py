from __future__ import annotations

import zlib
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_vllm.engine_metrics.engine_counts import engine_metrics
from framework_vllm.engine_metrics.record import (
    MAX_SCRAPES,
    EngineRecord,
    engine_record,
    histograms_table,
    samples_table,
)
from framework_vllm.engine_metrics.scraper import Scrape, ServerScraper
from framework_vllm.tables import engine_histograms
from tests.framework_vllm.engine_metrics.expositions import exposition

T0_S = 100.0


def scraper(*answers: tuple[float, str]) -> ServerScraper:
    """A scraper that got these answers, at seconds from t = 0."""
    made = ServerScraper("http://nowhere", {}, None)
    made.scrapes = [
        Scrape(T0_S + t_s - 0.01, T0_S + t_s + 0.01, zlib.compress(text.encode())) for t_s, text in answers
    ]
    return made


def values(record: EngineRecord, name: str) -> list[tuple[float, float]]:
    table = samples_table(record)
    assert table is not None
    rows = table.to_pylist()
    return [(round(row["t_s"], 6), row["value"]) for row in rows if row["name"] == name]


def test_what_the_warm_up_did_is_not_counted() -> None:
    record = engine_record(
        [
            scraper(
                (-5.0, exposition(tokens=0)),
                (-0.1, exposition(tokens=100, preemptions=2, ttft_s={0.1: 5, inf: 5}, ttft_sum=0.2)),
                (1.0, exposition(tokens=150, preemptions=2)),
                (2.0, exposition(tokens=180, preemptions=3, ttft_s={0.1: 6, inf: 9}, ttft_sum=1.2)),
            )
        ],
        T0_S,
    )
    metrics = {metric.name: metric.value for metric in engine_metrics(record)}
    assert metrics["engine_output_tokens"] == 80
    assert metrics["preemptions"] == 1
    assert metrics["engine_ttft_mean_ms"] == pytest.approx(1e3 * 1.0 / 4)
    assert values(record, "preemptions") == [(-0.1, 0), (1.0, 0), (2.0, 1)]


def test_replicas_are_summed_but_for_the_cache_where_the_fullest_counts() -> None:
    first = scraper((-0.1, exposition()), (1.0, exposition(running=3, usage=0.2)), (2.0, exposition()))
    second = scraper((-0.1, exposition()), (1.1, exposition(running=4, usage=0.6)), (2.0, exposition()))
    record = engine_record([first, second], T0_S)
    assert values(record, "running") == [(-0.1, 0), (1.0, 7), (2.0, 0)]
    assert values(record, "kv_usage") == [(-0.1, 0), (1.0, 0.6), (2.0, 0)]
    assert values(record, "vllm:num_requests_running{server=1}") == [(-0.1, 0), (1.1, 4), (2.0, 0)]


def test_a_series_that_never_changes_is_kept_by_its_ends() -> None:
    record = engine_record([scraper(*((float(t), exposition(tokens=7)) for t in range(5)))], T0_S)
    assert values(record, "vllm:generation_tokens") == [(0.0, 7), (4.0, 7)]
    assert len(values(record, "running")) == 5


def test_a_long_run_is_thinned_and_keeps_its_ends() -> None:
    answers = [(float(t), exposition(running=t % 3)) for t in range(3 * MAX_SCRAPES)]
    points = values(engine_record([scraper(*answers)], T0_S), "running")
    assert len(points) <= MAX_SCRAPES + 1
    assert points[0][0] == 0.0
    assert points[-1][0] == 3 * MAX_SCRAPES - 1


def test_a_metric_that_the_engine_lacks_is_absent_with_the_reason() -> None:
    record = engine_record([scraper((-0.1, exposition()), (1.0, exposition()))], T0_S)
    metrics = {metric.name: metric for metric in engine_metrics(record)}
    assert metrics["engine_itl_mean_ms"].value is None
    assert metrics["engine_itl_mean_ms"].reason == "/metrics has no vllm:inter_token_latency_seconds"
    assert metrics["engine_ttft_mean_ms"].reason == "vllm:time_to_first_token_seconds has no observations"


def test_a_server_without_metrics_leaves_everything_absent() -> None:
    silent = ServerScraper("http://nowhere", {}, None)
    silent.trouble = "/metrics: HTTP 404"
    record = engine_record([silent], T0_S)
    assert samples_table(record) is None
    assert histograms_table(record) is None
    assert {metric.reason for metric in engine_metrics(record)} == {"/metrics: HTTP 404"}


def test_a_server_of_another_kind_is_told_so() -> None:
    other = "# TYPE sglang:num_running gauge\nsglang:num_running 1\n"
    record = engine_record([scraper((-0.1, other), (1.0, other))], T0_S)
    assert record.trouble == "/metrics: contains no metrics of vLLM"


def test_histograms_are_kept_before_and_after_in_their_schema() -> None:
    record = engine_record(
        [
            scraper(
                (-0.1, exposition(ttft_s={0.1: 1, inf: 2}, ttft_sum=0.5)),
                (1.0, exposition(ttft_s={0.1: 3, inf: 6}, ttft_sum=2.0)),
            )
        ],
        T0_S,
    )
    table = histograms_table(record)
    assert table is not None
    assert table.schema == engine_histograms()
    family = "vllm:time_to_first_token_seconds"
    common = {"server": 0, "family": family, "labels": ""}
    assert table.to_pylist() == [
        {**common, "le": 0.1, "count_start": 1, "count_end": 3, "sum_start": None, "sum_end": None},
        {**common, "le": inf, "count_start": 2, "count_end": 6, "sum_start": 0.5, "sum_end": 2.0},
    ]


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20).map(sorted))
def test_growth_of_a_counter_is_its_end_less_its_start(counts: list[float]) -> None:
    record = engine_record(
        [scraper(*((float(t), exposition(tokens=count)) for t, count in enumerate(counts)))], T0_S
    )
    assert record.grown("vllm:generation_tokens") == pytest.approx(counts[-1] - counts[0])
