"""Traces in the forms in which they are published, each with the preset of its publisher."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from framework.errors import InputError
from tests.framework_serving.workloads.trace_files import HEADER, arrivals, build, csv_file
from tests.support.measured_data import MEASURED_DATA, needs_shared_data

TRACES = MEASURED_DATA / "traces"
AZURE = {"arrival": "arrived_at", "input": "num_prefill_tokens", "output": "num_decode_tokens"}
MOONCAKE = {
    "arrival": "timestamp",
    "input": "input_length",
    "output": "output_length",
    "hash_ids": "hash_ids",
}
PUBLISHED = {
    "azure2023": (
        "azure",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n",
        [0.0, 4.314579],
    ),
    "azure2024": (
        "azure",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,374,44\n2024-05-10 00:00:00.017335+00:00,396,109\n",
        [0.0, 0.007405],
    ),
    "vidur": (
        "vidur",
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.25,396,109\n",
        [0, 4.25],
    ),
    "burstgpt": (
        "burstgpt",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,374,44,418,Conversation log\n20,GPT-4,300,0,300,API log\n"
        "45,ChatGPT,396,109,505,Conversation log\n",
        [0, 40],
    ),
    "mooncake": (
        "mooncake",
        '{"timestamp": 0, "input_length": 374, "output_length": 44, "hash_ids": [0]}\n'
        '{"timestamp": 3000, "input_length": 396, "output_length": 109, "hash_ids": [1]}\n',
        [0, 3],
    ),
    "qwen": (
        "qwen",
        '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 374, "output_length": 44, '
        f'"type": "text", "turn": 1, "hash_ids": {list(range(24))}}}\n'
        '{"chat_id": 2, "parent_chat_id": 1, "timestamp": 66.114, "input_length": 396, "output_length": 109, '
        f'"type": "text", "turn": 2, "hash_ids": {list(range(25))}}}\n',
        [0, 5],
    ),
    "servingsim": (
        "servingsim",
        '{"input_toks": 374, "output_toks": 44, "arrival_time_ns": 0}\n'
        '{"input_toks": 396, "output_toks": 109, "arrival_time_ns": 50000000}\n',
        [0, 0.05],
    ),
    "servingsim_s": (
        "servingsim",
        '{"input_toks": 374, "output_toks": 44, "arrival_time": 1700000000.25}\n'
        '{"input_toks": 396, "output_toks": 109, "arrival_time": 1700000000.75}\n',
        [0, 0.5],
    ),
}


def test_traces_in_the_form_of_the_published_ones_load(tmp_path: Path) -> None:
    header = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
    azure = build(csv_file(tmp_path, "0.0,370,40\n4.25,400,110\n", header), columns=AZURE)
    assert azure.facts["input_tokens_mean"] == 385
    path = tmp_path / "conversation.jsonl.gz"
    rows = [
        {"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]},
        {"timestamp": 3000, "input_length": 600, "output_length": 5, "hash_ids": [0, 7]},
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    conversation = build(path, columns=MOONCAKE, time_unit="ms")
    assert arrivals(conversation) == [0, 3.0]
    assert conversation.tables["requests"]["prefix_block_hashes"].to_pylist() == [[0, 1, 2], [0, 7]]


@needs_shared_data("traces")
def test_published_traces_load() -> None:
    azure = build(TRACES / "azure_llm_2023_conv.csv.gz", columns=AZURE)
    assert azure.facts["num_requests"] == 19_366
    assert azure.facts["input_tokens_mean"] == pytest.approx(1154.70, abs=0.01)
    conversation = build(
        TRACES / "mooncake_conversation.jsonl.gz", columns=MOONCAKE, time_unit="ms", limit=300
    )
    assert conversation.tables["requests"]["prefix_block_hashes"][0].as_py() == list(range(14))


@pytest.mark.parametrize("preset", ["auto", "named"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_trace_is_read_as_it_is_published(name: str, preset: str, tmp_path: Path) -> None:
    form, text, times = PUBLISHED[name]
    file = tmp_path / "published"
    file.write_text(text)
    built = build(file, preset="auto" if preset == "auto" else form)
    assert built.facts["trace_format"] == form
    assert arrivals(built) == pytest.approx(times, abs=1e-6)
    requests = built.tables["requests"]
    assert requests["input_tokens"].to_pylist() == [374, 396]
    assert requests["output_tokens"].to_pylist() == [44, 109]


def test_failed_requests_of_burstgpt_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "burst.csv"
    file.write_text(PUBLISHED["burstgpt"][1])
    facts = build(file).facts
    assert (facts["failed_requests_left_out"], facts["rows_left_out"]) == (1, 0)


def test_turns_of_a_session_wait_for_the_turn_before_and_blocks_have_the_publishers_size(
    tmp_path: Path,
) -> None:
    file = tmp_path / "qwen.jsonl"
    file.write_text(PUBLISHED["qwen"][1])
    built = build(file)
    assert built.facts["prefix_block_tokens"] == 16
    assert built.facts["sessions"] == 1
    assert built.tables["requests"]["follows"].to_pylist() == [None, 0]


def test_a_file_of_another_format_than_the_preset_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "qwen.jsonl"
    file.write_text(PUBLISHED["qwen"][1])
    with pytest.raises(
        InputError,
        match=r"looks like a trace of qwen \(workload=trace_qwen\), not one of workload.preset=mooncake",
    ):
        build(file, preset="mooncake")
    file.write_text(HEADER + "0,5,6\n")
    with pytest.raises(InputError, match=r"has other columns, not one of workload.preset=azure"):
        build(file, preset="azure")
