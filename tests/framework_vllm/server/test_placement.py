from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_vllm.server.placement import places
from framework_vllm.settings import VllmSettings


def test_replicas_on_one_gpu_get_a_share_each() -> None:
    found = places(VllmSettings(replicas=4, gpu_memory_utilization=0.8), "cuda", {})
    assert [place.devices for place in found] == [("0",)] * 4
    assert {place.memory_share for place in found} == {0.2}


def test_one_replica_a_gpu_uses_the_gpus_that_the_scheduler_gave() -> None:
    found = places(VllmSettings(replicas=2, gpus=2), "cuda", {"CUDA_VISIBLE_DEVICES": "5, GPU-abc,7"})
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in found] == ["5", "GPU-abc"]


def test_a_model_over_two_gpus_gets_both() -> None:
    found = places(VllmSettings(replicas=2, gpus=4, tensor_parallel=2), "cuda", {})
    assert [place.devices for place in found] == [("0", "1"), ("2", "3")]


def test_too_few_gpus_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"backend.gpus: 2 GPUs are needed, CUDA_VISIBLE_DEVICES='3' allows 1"
    ):
        places(VllmSettings(replicas=2, gpus=2), "cuda", {"CUDA_VISIBLE_DEVICES": "3"})


def test_a_slurm_job_with_too_few_gpus_is_told_how_to_ask_for_them() -> None:
    with pytest.raises(ConfigError) as refused:
        places(VllmSettings(replicas=2, gpus=2), "cuda", {"SLURM_JOB_ID": "7"}, installed=1)
    assert str(refused.value) == (
        "backend.gpus: 2 GPUs are needed, 1 found; hydra.launcher.gpus_per_node=2 requests them from Slurm"
    )


def test_on_a_cpu_no_device_is_named() -> None:
    assert [place.environment for place in places(VllmSettings(replicas=2), "cpu", {})] == [{}, {}]


@given(gpus=st.integers(1, 8), on_each=st.integers(1, 5), shards=st.integers(1, 4))
def test_the_shares_on_a_gpu_add_up_to_what_may_be_used(gpus: int, on_each: int, shards: int) -> None:
    gpus *= shards
    settings = VllmSettings(replicas=gpus // shards * on_each, gpus=gpus, tensor_parallel=shards)
    used: dict[str, float] = {}
    for place in places(settings, "cuda", {}):
        assert len(set(place.devices)) == shards
        for device in place.devices:
            used[device] = used.get(device, 0.0) + place.memory_share
    assert len(used) == gpus
    assert all(abs(share - 0.9) < 1e-9 for share in used.values())
