"""Output checks on made-up reports: each defect is found, and only defects are."""

from __future__ import annotations

from typing import Any

import pytest

from framework_hadoop.benchmarks.output_checks import output_checks
from framework_hadoop.benchmarks.workloads import BenchmarkWorkload
from framework_hadoop.engines.run_report import JobReport, RunReport

MADE = {"RECORDS": 10, "CHECKSUM": -5, "WORDS": 100, "WORD_CHECKSUM": 77, "BYTES": 1000}


def report(step: str = "validate", group: str = "Validate$Found", **counters: int) -> RunReport:
    job = JobReport("j", step, "validate", 0, 1, True, 1, None, {f"framework.mapreduce.{group}": counters})
    return RunReport([job])


def failed(benchmark: str, found: RunReport, **keys: Any) -> list[str]:
    plan = BenchmarkWorkload(name=benchmark, benchmark=benchmark, size="1000", **keys).plan()
    return [check.name for check in output_checks(plan, MADE, found) if check.verdict == "fail"]


def test_a_right_word_count_passes() -> None:
    assert failed("wordcount", report(WEIGHT=100, CHECKSUM=77, DISORDER=0, ROWS=9)) == []


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({"WEIGHT": 99, "CHECKSUM": 77, "DISORDER": 0}, ["output_words"]),
        ({"WEIGHT": 100, "CHECKSUM": 78, "DISORDER": 0}, ["output_checksum"]),
        ({"WEIGHT": 100, "CHECKSUM": 77, "DISORDER": 1}, ["output_order"]),
        ({}, ["output_words", "output_checksum", "output_order"]),
    ],
)
def test_a_wrong_word_count_fails_by_what_is_wrong(found: dict[str, int], names: list[str]) -> None:
    assert failed("wordcount", report(**found)) == names


def test_a_sort_that_loses_a_record_or_changes_one_fails() -> None:
    assert failed("terasort", report(ROWS=10, CHECKSUM=-5, DISORDER=0)) == []
    assert failed("terasort", report(ROWS=9, CHECKSUM=-5, DISORDER=0)) == ["output_records"]
    assert failed("sort", report(ROWS=10, CHECKSUM=5, DISORDER=0)) == ["output_checksum"]


def test_grep_is_held_against_a_second_search_and_no_match_is_an_answer() -> None:
    found = report(WEIGHT=3, CHECKSUM=8, DISORDER=0)
    found.jobs += report("recount", "Validate$Truth", WEIGHT=3, CHECKSUM=8).jobs
    assert failed("grep", found) == []
    nothing = report(WEIGHT=0, CHECKSUM=0, DISORDER=0)
    nothing.jobs += report("recount", "Other").jobs
    assert failed("grep", nothing) == []
    assert failed("grep", report(WEIGHT=0, CHECKSUM=0, DISORDER=0)) == ["output_recount"]


def test_ranks_must_sum_to_one_over_all_nodes() -> None:
    assert failed("pagerank", report(ROWS=10, WEIGHT=10**15 - 3)) == []
    assert failed("pagerank", report(ROWS=10, WEIGHT=10**15 - 10**7)) == ["output_rank_sum"]
    assert failed("pagerank", report(ROWS=9, WEIGHT=10**15)) == ["output_nodes"]


def test_k_means_counts_every_point_in_each_iteration_and_its_inertia_never_rises() -> None:
    facts = {"points_1": 10, "points_2": 10, "inertia_1": 5.0, "inertia_2": 4.0}
    assert failed("kmeans", RunReport(facts=facts), clusters=2, iterations=2) == []
    assert failed("kmeans", RunReport(facts={**facts, "points_2": 9}), clusters=2, iterations=2) == [
        "output_points"
    ]
    assert failed("kmeans", RunReport(facts={**facts, "inertia_2": 6.0}), clusters=2, iterations=2) == [
        "output_inertia"
    ]


def test_dfsio_reads_back_what_it_wrote() -> None:
    moved = {"WRITE_BYTES": 1000, "READ_BYTES": 1000, "WRITE_CHECKSUM": 3, "READ_CHECKSUM": 3}
    job = JobReport("j", "dfsio", "run", 0, 1, True, 0, None, {"io": moved})
    assert failed("dfsio", RunReport([job])) == []
    broken = JobReport("j", "dfsio", "run", 0, 1, True, 0, None, {"io": {**moved, "READ_CHECKSUM": 4}})
    assert failed("dfsio", RunReport([broken])) == ["output_content"]
