from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework_vllm.engine_metrics.exposition import parse
from framework_vllm.engine_metrics.families import RENAMED
from tests.framework_vllm.engine_metrics.expositions import exposition


def test_gauges_counters_and_histograms_are_told_apart() -> None:
    found = parse(exposition(running=3, preemptions=2, ttft_s={0.1: 1, inf: 4}, ttft_sum=0.9))
    assert found.gauges["vllm:num_requests_running", ""] == 3
    assert found.counters["vllm:num_preemptions", ""] == 2
    histogram = found.histograms["vllm:time_to_first_token_seconds", ""]
    assert (histogram.counts, histogram.count, histogram.sum) == ({0.1: 1, inf: 4}, 4, 0.9)


def test_series_of_a_family_keep_the_labels_that_tell_them_apart() -> None:
    found = parse(exposition())
    assert found.counters["vllm:request_success", "finished_reason=stop"] == 1
    assert found.total("vllm:request_success") == 3
    assert found.total("vllm:no_such_family") is None


def test_ranks_of_a_server_are_one_engine_and_its_cache_is_as_full_as_the_fullest() -> None:
    lines = [
        f'vllm:{name}{{engine="{rank}",model_name="m"}} {number}'
        for name, numbers in (("num_requests_running", (3, 4)), ("kv_cache_usage_perc", (0.9, 0.6)))
        for rank, number in enumerate(numbers)
    ]
    types = [f"# TYPE vllm:{name} gauge" for name in ("num_requests_running", "kv_cache_usage_perc")]
    text = "\n".join([types[0], *lines[:2], types[1], *lines[2:]]) + "\n"
    found = parse(text)
    assert found.total("vllm:num_requests_running") == 7
    assert found.total("vllm:kv_cache_usage_perc") == 0.9


def test_info_is_read_as_labels() -> None:
    assert parse(exposition()).info["vllm:cache_config_info"]["num_gpu_blocks"] == "40"


def test_families_of_others_and_creation_times_are_left_out() -> None:
    found = parse(exposition())
    names = {name for name, _ in [*found.gauges, *found.counters, *found.histograms]}
    assert all(name.startswith("vllm:") for name in names)
    assert not [name for name in names if "created" in name]


def test_a_sample_in_the_middle_is_read_without_buckets() -> None:
    assert (
        not parse(exposition(ttft_s={0.1: 1, inf: 4}), histograms=False)
        .histograms["vllm:time_to_first_token_seconds", ""]
        .counts
    )


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_read_under_the_new_one(old: str, new: str) -> None:
    if new.endswith("_seconds"):
        text = f'# TYPE {old} histogram\n{old}_bucket{{le="+Inf"}} 2.0\n{old}_count 2.0\n{old}_sum 1.0\n'
        assert parse(text).histograms[new, ""].count == 2
    else:
        assert parse(f"# TYPE {old} gauge\n{old} 0.5\n").total(new) == 0.5


def test_several_engines_behind_one_server_are_added_up() -> None:
    name = "vllm:num_requests_running"
    text = f'# TYPE {name} gauge\n{name}{{engine="0"}} 2\n{name}{{engine="1"}} 3\n'
    assert parse(text).total("vllm:num_requests_running") == 5


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_an_answer_of_another_kind_is_empty_or_a_value_error(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert not found.gauges
