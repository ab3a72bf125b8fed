"""Prefix caching from a trace's block hashes to the metrics of `backend=twin`, and what the client sends."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.contracts import RunContext, WorkloadTables
from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.metrics.serving_metrics import derive
from framework_serving.workloads.trace import TraceWorkload
from framework_twin.backend import TwinBackend
from framework_twin.translation import kernel_requests
from framework_vllm.client.prompts import PromptMaker

BLOCK = 16


def mooncake(
    folder: Path, rows: list[tuple[float, int, list[int]]], block_tokens: int = 512
) -> WorkloadTables:
    """Build the workload of a trace file: (arrival s, input tokens, hash ids) a row, four output tokens each."""
    file = folder / "trace.jsonl"
    lines = [
        {"timestamp": 1000 * arrival, "input_length": tokens, "output_length": 4, "hash_ids": ids}
        for arrival, tokens, ids in rows
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {
        "arrival": "timestamp",
        "input": "input_length",
        "output": "output_length",
        "hash_ids": "hash_ids",
    }
    workload = TraceWorkload(
        file=str(file), name="trace", columns=columns, time_unit="ms", hash_block_tokens=block_tokens
    )
    return workload.build(0)


def backend(**keys: object) -> TwinBackend:
    groups = {"model": vars(model_shape("llama-3.1-8b")), "gpu": vars(gpu_spec("h100-80gb"))}
    return TwinBackend(**groups, **keys)


def run(
    workload: WorkloadTables, **keys: object
) -> tuple[dict[str, float | None], list[float], dict[str, str]]:
    """Return metrics, TTFT (s) of each request, and the checks' details by name."""
    result = backend(**keys).run(workload, RunContext("", {}, 0, Path()))
    metrics = {metric.name: metric.value for metric in (*result.metrics, *derive({}, workload, result))}
    requests = result.tables["requests"]
    times = zip(requests["first_token_s"].to_pylist(), requests["arrival_s"].to_pylist(), strict=True)
    return metrics, [first - arrival for first, arrival in times], {c.name: c.detail for c in result.checks}


FOUR_EQUAL = [(3.0 * place, 2048, [1, 2, 3, 4]) for place in range(4)]


def test_a_prompt_seen_before_is_found_but_for_its_last_block(tmp_path: Path) -> None:
    metrics, ttft_s, checks = run(mooncake(tmp_path, FOUR_EQUAL), enable_prefix_caching=True)
    assert metrics["prefix_hit_share"] == pytest.approx(3 * 127 * BLOCK / (4 * 2048))
    assert ttft_s[0] > ttft_s[1] + 0.03
    assert ttft_s[1] == pytest.approx(ttft_s[3])
    assert checks["prefix_caching"] == f"{3 * 127 * BLOCK:,} of 8,192 prompt tokens found in the cache"


def test_without_caching_every_prompt_is_computed_and_the_run_says_so(tmp_path: Path) -> None:
    metrics, ttft_s, checks = run(mooncake(tmp_path, FOUR_EQUAL))
    assert metrics["prefix_hit_share"] is None
    assert ttft_s[0] == pytest.approx(ttft_s[3])
    assert "enable_prefix_caching is false" in checks["prefix_caching"]


def test_prompts_that_share_nothing_find_nothing(tmp_path: Path) -> None:
    rows = [(3.0 * place, 1024, [10 * place, 10 * place + 1]) for place in range(3)]
    metrics, _, _ = run(mooncake(tmp_path, rows), enable_prefix_caching=True)
    assert metrics["prefix_hit_share"] == 0


def test_a_block_size_that_kv_blocks_do_not_divide_is_one_clear_line(tmp_path: Path) -> None:
    workload = mooncake(tmp_path, [(0.0, 50, [1, 2])], block_tokens=25)
    with pytest.raises(ConfigError, match=r"workload\.hash_block_tokens: 25"):
        backend(enable_prefix_caching=True).check(workload)
    backend().check(workload)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 200), min_size=2, max_size=5),
    ids=st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=5, max_size=5),
    block_tokens=st.sampled_from([16, 32]),
)
def test_the_client_sends_as_many_equal_leading_tokens_as_the_twin_counts_shared_blocks(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], ids: list[list[int]], block_tokens: int
) -> None:
    # an id stands for everything before it too: make it so
    named = [
        [sum(3**place * (one + 1) for place, one in enumerate(row[: end + 1])) for end in range(len(row))]
        for row in ids
    ]
    rows = [
        (float(place), tokens, row[: -(-tokens // block_tokens)])
        for place, (tokens, row) in enumerate(zip(lengths, named, strict=False))
    ]
    workload = mooncake(tmp_path_factory.mktemp("trace"), rows, block_tokens)
    requests = kernel_requests(workload, prefix_caching=True)
    assert requests.prefix_start is not None
    assert requests.prefix_blocks is not None
    prompts = PromptMaker(range(50_000), 3, block_tokens)
    sent = [prompts.token_ids(place, tokens, row) for place, (_, tokens, row) in enumerate(rows)]
    starts, blocks = requests.prefix_start, requests.prefix_blocks.tolist()
    named_blocks = [blocks[a:b] for a, b in itertools.pairwise(starts)]
    for one in range(len(rows)):
        for other in range(one):
            equal = _leading(sent[one], sent[other])
            shared = _leading(named_blocks[one], named_blocks[other])
            assert equal // BLOCK == shared


def _leading(left: list[int], right: list[int]) -> int:
    """How many leading items are equal."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count
