"""Benchmarks as workloads: plans, sizes, errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.contracts import WorkloadTables
from framework.errors import ConfigError
from framework_hadoop.benchmarks.generated_input import input_of
from framework_hadoop.benchmarks.plan import GENERATORS, graph_nodes, plan_of
from framework_hadoop.benchmarks.workloads import BenchmarkWorkload


def built(name: str = "wordcount", seed: int = 0, **keys: Any) -> WorkloadTables:
    return BenchmarkWorkload(name=name, benchmark=name, **keys).build(seed)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_plan_comes_back_from_its_table_as_it_went_in(name: str) -> None:
    workload = BenchmarkWorkload(name=name, benchmark=name, size="1MB", seed=7)
    assert plan_of(workload.build(0), "hadoop") == workload.plan()


def test_repeats_read_the_same_input_and_another_seed_another_one() -> None:
    assert built(seed=0).content_hash == built(seed=5).content_hash
    assert (
        built().content_hash
        != BenchmarkWorkload(name="w", benchmark="wordcount", seed=1).build(0).content_hash
    )


def test_a_key_that_means_nothing_to_a_benchmark_does_not_change_it() -> None:
    assert built("wordcount", clusters=3, pattern="x").content_hash == built("wordcount").content_hash


def test_records_and_points_are_whole_and_no_larger_than_asked_for() -> None:
    assert plan_of(built("terasort", size="1050"), "hadoop").input_bytes == 1000
    assert plan_of(built("kmeans", size="1000"), "hadoop").records == 13


def test_a_smaller_scale_caps_the_input_and_never_enlarges_it() -> None:
    assert built(size="1MB", max_size="200KB").content_hash == built(size="200KB").content_hash
    assert built(size="100KB", max_size="200KB").content_hash == built(size="100KB").content_hash


@given(st.integers(min_value=10_000, max_value=10**11))
def test_a_larger_graph_file_has_no_fewer_nodes(size_bytes: int) -> None:
    assert graph_nodes(size_bytes) <= graph_nodes(2 * size_bytes)


def test_the_name_of_input_depends_on_its_content_and_place_alone() -> None:
    small = BenchmarkWorkload(name="w", benchmark="wordcount", size="1MB").plan()
    same_text = BenchmarkWorkload(name="s", benchmark="sort", size="1MB").plan()
    other_seed = BenchmarkWorkload(name="w", benchmark="wordcount", size="1MB", seed=3).plan()
    assert input_of(small, "d", {}).location == input_of(same_text, "d/", {}).location
    assert input_of(small, "d", {}).location != input_of(other_seed, "d", {}).location
    assert input_of(small, "d", {}).location != input_of(small, "d", {"dfs.blocksize": "1"}).location


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"benchmark": "wordcont"}, r"workload\.benchmark: unknown benchmark .*'wordcount'"),
        ({"benchmark": "sort", "size": "huge"}, r"workload\.size: "),
        ({"benchmark": "terasort", "size": "99"}, r"workload\.size: 99 is too small for terasort"),
        ({"benchmark": "kmeans", "size": "144", "clusters": 3}, r"workload\.size: "),
        ({"benchmark": "kmeans", "clusters": 0}, r"workload\.clusters: "),
        ({"benchmark": "pagerank", "iterations": 0}, r"workload\.iterations: "),
        ({"benchmark": "grep", "pattern": "("}, r"workload\.pattern: .*regular expression"),
        ({"benchmark": "grep", "pattern": ""}, r"workload\.pattern: must not be empty"),
        ({"benchmark": "dfsio", "files": 0}, r"workload\.files: "),
        ({"benchmark": "sort", "seed": -1}, r"workload\.seed: "),
        ({"benchmark": "sort", "sise": "1MB"}, r"workload\.sise: unknown key .*'size'"),
    ],
)
def test_a_bad_benchmark_is_refused_with_its_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchmarkWorkload(**{"name": "x", **keys}).build(0)


def test_a_workload_of_another_domain_is_refused_with_the_benchmarks_names() -> None:
    with pytest.raises(ConfigError, match=r"backend 'hadoop' runs only benchmarks.*workload=wordcount"):
        plan_of(WorkloadTables({}, ""), "hadoop")
