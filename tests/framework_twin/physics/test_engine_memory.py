"""KV capacity. Golden block counts: as the engines printed them (logs of arXiv 2503.08311)."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_twin.physics.engine_memory import EngineMemory, KvCapacity, kv_capacity
from tests.support.measured_data import MEASURED_DATA, needs_shared_data

H100 = gpu_spec("H100-64GB")
MIB = 1024**2


def v0(model: str, max_num_seqs: int, budget: int, length: int = 2048) -> KvCapacity:
    return kv_capacity(model_shape(model), H100, EngineMemory("v0", 0.9, max_num_seqs, budget, length))


@pytest.mark.parametrize(
    ("model", "max_num_seqs", "budget", "blocks"),
    [
        ("opt-1.3b", 1, 2048, 18573),
        ("opt-1.3b", 768, 2048, 18135),
        ("opt-2.7b", 1, 512, 10644),
        ("llama-2-7b", 1, 2048, 5659),
        ("llama-2-13b", 1, 2048, 2657),
        ("llama-2-7b", 512, 512, 5608),
        ("opt-1.3b", 128, 512, 18526),
    ],
)
def test_predicted_blocks_match_what_v0_printed_to_a_thousandth(
    model: str, max_num_seqs: int, budget: int, blocks: int
) -> None:
    assert v0(model, max_num_seqs, budget).blocks == pytest.approx(blocks, rel=1.2e-3)


def test_kv_bytes_of_a_block_are_those_of_the_golden_table() -> None:
    capacity = v0("opt-1.3b", 1, 2048)
    assert capacity.block_bytes == 3 * MIB  # 16 tokens of 192 KiB
    assert 18573 * capacity.block_bytes / 1024**3 == pytest.approx(54.41, abs=0.005)


def test_more_sequences_shrink_the_cache() -> None:
    blocks = [v0("opt-1.3b", count, 2048).blocks for count in (1, 64, 128, 256, 512, 768)]
    assert blocks == sorted(blocks, reverse=True)
    assert blocks[-1] < blocks[0]


def with_slots(model: str, slots: int, rank: int) -> KvCapacity:
    shape = model_shape(model)
    return kv_capacity(shape, H100, EngineMemory("v1", 0.9, 2048, 2048, shape.max_model_len, slots, rank))


@pytest.mark.parametrize(
    ("slots", "rank", "tokens"), [(8, 8, 305_104), (128, 8, 253_568), (64, 16, 256_640), (224, 16, 138_272)]
)
def test_capacity_with_adapter_slots_is_within_two_thousandths_of_what_v1_printed(
    slots: int, rank: int, tokens: int
) -> None:
    # Llama-3.1-8B; artefacts of arXiv 2508.08343
    assert with_slots("llama-3.1-8b", slots, rank).tokens == pytest.approx(tokens, rel=2e-3)


@needs_shared_data("adapter_kv_capacity.csv")
def test_capacity_with_adapter_slots_is_within_two_thousandths_of_every_measured_server() -> None:
    with (MEASURED_DATA / "adapter_kv_capacity.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        server = row["model"], int(row["max_loras"]), int(row["max_lora_rank"])
        if row["kv_cache_tokens"]:
            assert with_slots(*server).tokens == pytest.approx(int(row["kv_cache_tokens"]), rel=2e-3)
        else:
            with pytest.raises(ConfigError, match="can't hold one request"):
                with_slots(*server)


def test_server_without_room_for_one_request_is_refused_with_the_numbers() -> None:
    engine = EngineMemory("v1", 0.9, 2048, 2048, 131072, max_loras=256, max_lora_rank=16)
    with pytest.raises(ConfigError, match=r"256 adapter slots of rank 16 leaves .* max_model_len is 131072"):
        kv_capacity(model_shape("llama-3.1-8b"), H100, engine)


def test_the_longest_request_keeps_only_the_window_in_windowed_layers_however_short_the_others_are() -> None:
    shape, gpu = model_shape("google/gemma-3-27b-it"), gpu_spec("H100-80GB")
    short = EngineMemory("v1", 0.9, 256, 2048, shape.max_model_len, request_tokens=600.0)
    assert (
        kv_capacity(shape, gpu, short).tokens < shape.max_model_len
    )  # of requests that fill every layer alike
    assert kv_capacity(shape, gpu, replace(short, request_tokens=5000.0)).tokens > shape.max_model_len
    with pytest.raises(ConfigError, match=r"set backend.max_model_len to at most"):
        kv_capacity(shape, gpu, replace(short, gpu_memory_utilization=0.78))


@settings(max_examples=40, deadline=None)
@given(
    utilization=st.floats(0.5, 0.95),
    slots=st.integers(0, 64),
    rank=st.sampled_from([8, 16, 32]),
    sequences=st.integers(1, 1024),
)
def test_memory_is_accounted_for_and_never_overdrawn(
    utilization: float, slots: int, rank: int, sequences: int
) -> None:
    engine = EngineMemory("v1", utilization, sequences, 2048, 2048, slots, rank)
    capacity = kv_capacity(model_shape("llama-3.1-8b"), H100, engine)
    held = capacity.weight_bytes + capacity.buffer_bytes + capacity.adapter_bytes + capacity.kv_bytes
    assert held <= capacity.budget_bytes < held + capacity.block_bytes
    assert (capacity.adapter_bytes == 0) == (slots == 0)
