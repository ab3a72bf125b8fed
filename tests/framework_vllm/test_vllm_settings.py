from __future__ import annotations

from typing import Any

import pytest

from framework.errors import ConfigError
from framework_serving.engine_knobs import checked_settings
from framework_vllm.settings import VllmSettings


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"max_num_seq": 3},
            "backend.max_num_seq: unknown key (did you mean 'max_num_seqs'?)",
        ),
        ({"max_num_seqs": 0}, "backend.max_num_seqs: must be at least 1, got 0"),
        ({"kv_blocks": -1}, "backend.kv_blocks: must be at least 1, got -1"),
        ({"gpu_memory_utilization": 1.5}, "backend.gpu_memory_utilization: 1.5 is not above 0 and at most 1"),
        ({"start_timeout_s": 0.0}, "backend.start_timeout_s: must be greater than 0, got 0"),
        ({"router": "random"}, "backend.router: unknown value 'random' (known: least_load, round_robin)"),
        ({"lora_loading": "late"}, "backend.lora_loading: unknown value 'late' (known: runtime, static)"),
        ({"retries": -1}, "backend.retries: -1 is below 0"),
        ({"max_failed_share": 2.0}, "backend.max_failed_share: 2.0 is not from 0 to 1"),
        ({"port": 65536}, "backend.port: 65536 is not a valid port for 1 replicas"),
        ({"vocabulary": [5]}, "backend.vocabulary: [5] is not [first, last] token id"),
        (
            {"urls": ["localhost:8000"]},
            "backend.urls: 'localhost:8000' does not start with http:// or https://",
        ),
        (
            {"replicas": 3, "gpus": 2},
            "backend.gpus: 3 replicas of 1 GPUs each can't be distributed evenly over 2 GPUs",
        ),
    ],
)
def test_a_value_that_can_not_be_is_one_line_naming_the_key(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked_settings(VllmSettings, keys)
    assert str(refused.value) == message
