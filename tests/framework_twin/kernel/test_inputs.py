"""Bad input: one clear line that names the key, row or adapter."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from framework.errors import UserError
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests
from framework_twin.kernel.output import Status
from framework_twin.kernel.simulate import simulate
from framework_twin.physics.step_time import parameter_vector

LAW = parameter_vector(host_s=0.01)
ENGINE = EngineConfig(kv_blocks=100)
REQUESTS = Requests(
    arrival_s=np.array([0.0, 1.0, 2.0]),
    input_tokens=np.array([10, 20, 30], dtype=np.int32),
    output_tokens=np.array([5, 5, 5], dtype=np.int32),
)
ADAPTERS = AdapterTable(rank=np.array([8, 16], dtype=np.int32), cpu_to_gpu_s=np.array([0.01, 0.01]))
LORA = replace(ENGINE, max_loras=2, max_lora_rank=16)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"arrival_s": np.array([0.0, 2.0, 1.0])},
            "arrival_s of row 2 is 1.0, which is earlier than the row before it",
        ),
        ({"arrival_s": np.array([-1.0, 0.0, 1.0])}, "arrival_s of row 0 is -1.0, which is negative"),
        ({"arrival_s": np.array([0.0, math.nan, 1.0])}, "arrival_s of row 1 is nan, which is not a finite"),
        (
            {"input_tokens": np.array([1, 0, 0])},
            "input_tokens of row 1 is 0, which is below 1 (and 1 more rows)",
        ),
        ({"output_tokens": np.array([1, -4, 1])}, "output_tokens of row 1 is -4, which is below 1"),
        ({"output_tokens": np.array([1, math.nan, 1])}, "output_tokens of row 1 is nan"),
        ({"output_tokens": np.array([1, 1])}, "output_tokens has 2 rows, arrival_s has 3"),
        ({"adapter": np.array([-1, 0, 7])}, "adapter of row 1 is 0, which is not one of the 0 adapters"),
        ({"prefix_blocks": np.array([1])}, "prefix_blocks and prefix_start must be given together"),
        (
            {"prefix_blocks": np.array([1, 2]), "prefix_start": np.array([0, 1, 2])},
            "prefix_start must rise from 0 to 2 in 4 entries",
        ),
    ],
)
def test_bad_requests_are_named_by_row(change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as error:
        simulate(ENGINE, replace(REQUESTS, **change), LAW)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"kv_blocks": 0}, "kv_blocks: 0 is not a whole number of at least 1"),
        ({"kv_blocks": 1.5}, "kv_blocks: 1.5 is not a whole number"),
        ({"max_num_seqs": -3}, "max_num_seqs: -3 is not"),
        ({"max_num_batched_tokens": 100}, "max_num_batched_tokens: 100 is below max_num_seqs (256)"),
        ({"kv_blocks": 2, "max_num_seqs": 1, "router": "random"}, "router: 'random' is not one of"),
        (
            {"kv_blocks": 1, "block_size": 4},
            "kv_blocks: the KV cache can't hold one request: 1 blocks of 4 tokens",
        ),
        ({"max_model_len": 10}, "max_model_len: 10 is below the shortest request (15 tokens)"),
        ({"horizon_s": 0.0}, "horizon_s: 0.0 is not a positive number"),
        ({"sample_period_s": -1.0}, "sample_period_s: -1.0 is not a positive number"),
        ({"generation": "v2"}, "generation: 'v2' is not one of v0, v1"),
        (
            {"generation": "v0", "chunked_prefill": False, "kv_blocks": 9999},
            "max_num_batched_tokens: 2048 is below",
        ),
        (
            {"generation": "v0", "enable_prefix_caching": True},
            "enable_prefix_caching: modelled for generation v1",
        ),
        ({"max_loras": 4, "max_cpu_loras": 2}, "max_cpu_loras: 2 is below max_loras (4)"),
    ],
)
def test_bad_engine_settings_are_named_by_key(change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as error:
        simulate(replace(ENGINE, **change), REQUESTS, LAW)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("engine", "change", "line"),
    [
        ({}, {"rank": np.array([8, 0])}, "adapter 1 has no rank"),
        ({}, {"rank": np.array([math.nan, 8])}, "adapter 0 has no rank"),
        ({}, {"rank": np.array([8, 32])}, "max_lora_rank: 16 is below the rank of adapter 1 (32)"),
        ({}, {"cpu_to_gpu_s": np.array([0.1])}, "cpu_to_gpu_s has 1 rows, rank has 2"),
        ({}, {"cpu_to_gpu_s": np.array([0.1, -1])}, "cpu_to_gpu_s of adapter 1 is -1.0"),
        ({"max_loras": 0}, {}, "max_loras: 0 slots for 2 adapters"),
        ({"max_loras": 1, "max_cpu_loras": 1}, {}, "max_cpu_loras: 1 is below the 2 adapters"),
    ],
)
def test_bad_adapters_are_named(engine: dict[str, Any], change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as error:
        simulate(replace(LORA, **engine), REQUESTS, LAW, replace(ADAPTERS, **change))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_adapters_beyond_host_memory_are_read_from_disk_when_that_is_known() -> None:
    requests = replace(REQUESTS, adapter=np.array([0, 1, 0], dtype=np.int32))
    engine = replace(LORA, max_loras=1, max_cpu_loras=1)
    output = simulate(engine, requests, LAW, replace(ADAPTERS, disk_to_cpu_s=np.array([0.2, 0.2])))
    assert output.adapter_disk_loads == 2
    assert output.component_s["adapter_load"] == pytest.approx(3 * 0.01 + 2 * 0.2)


def test_requests_that_never_fit_are_refused_and_the_others_served() -> None:
    output = simulate(replace(ENGINE, kv_blocks=2), REQUESTS, LAW)
    assert output.requests.status.tolist() == [Status.FINISHED, Status.FINISHED, Status.REFUSED]
