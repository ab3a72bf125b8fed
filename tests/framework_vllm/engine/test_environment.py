from __future__ import annotations

from pathlib import Path

import pytest

from framework_vllm.engine import device_check as hardware
from framework_vllm.engine.device_check import device_check
from framework_vllm.engine.environment import engine_environment, socket_folder
from framework_vllm.settings import VllmSettings
from tests.framework_vllm.engines import engine


def test_nothing_is_reported_to_anybody() -> None:
    found = engine_environment(VllmSettings(), engine(), ours={})
    assert found["VLLM_NO_USAGE_STATS"] == "1"


def test_an_engine_on_a_cpu_gets_one_thread_unless_somebody_says_otherwise() -> None:
    assert engine_environment(VllmSettings(), engine("cpu"), ours={})["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in engine_environment(
        VllmSettings(), engine("cpu"), ours={"OMP_NUM_THREADS": "8"}
    )
    own = VllmSettings(env={"OMP_NUM_THREADS": "4"})
    assert engine_environment(own, engine("cpu"), ours={"OMP_NUM_THREADS": "8"})["OMP_NUM_THREADS"] == "4"
    assert "OMP_NUM_THREADS" not in engine_environment(VllmSettings(), engine("cuda"), ours={})


def test_the_kv_space_of_a_variable_around_us_gives_way_to_the_setting() -> None:
    around = {"VLLM_CPU_KVCACHE_SPACE": "40"}
    by_flag = engine_environment(VllmSettings(cpu_kv_gib=0.5), engine("cpu"), ours=around)
    assert by_flag["VLLM_CPU_KVCACHE_SPACE"] is None
    older = engine("cpu", without=("kv_cache_memory_bytes",))
    assert (
        engine_environment(VllmSettings(cpu_kv_gib=2.0), older, ours=around)["VLLM_CPU_KVCACHE_SPACE"] == "2"
    )


def test_the_hub_is_not_asked_for_a_model_that_lies_in_a_folder() -> None:
    assert engine_environment(VllmSettings(), engine(), local_model=True, ours={})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in engine_environment(VllmSettings(), engine(), ours={})


def test_loading_adapters_at_run_time_is_allowed_only_where_it_is_wanted() -> None:
    name = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    assert name in engine_environment(VllmSettings(), engine(), runtime_loras=True, ours={})
    assert name not in engine_environment(VllmSettings(), engine(), ours={})


H100 = {"name": "H100-80GB", "memory_gib": 79.1}


@pytest.mark.parametrize(
    ("named", "platform", "gpus", "verdict"),
    [
        ({"name": "CPU"}, "cpu", (), "pass"),
        (H100, "cpu", (), "warn"),
        (H100, "cuda", (("NVIDIA H100 80GB HBM3", 79.65),), "pass"),
        (H100, "cuda", (("NVIDIA A100-SXM4-40GB", 40.0),), "warn"),
        (H100, "cuda", (), None),
        (H100, None, (), None),
        ({"name": None}, "cpu", (), None),
    ],
)
def test_results_under_the_name_of_another_device_are_remarked(
    monkeypatch: pytest.MonkeyPatch,
    named: dict[str, object],
    platform: str | None,
    gpus: tuple[tuple[str, float], ...],
    verdict: str | None,
) -> None:
    monkeypatch.setattr(hardware, "installed_gpus", lambda: gpus)
    found = device_check(VllmSettings(gpu=named), platform)
    assert [(check.name, check.verdict) for check in found] == (
        [("device_named", verdict)] if verdict else []
    )


def test_sockets_lie_in_the_runs_folder_unless_its_path_is_too_long_for_one() -> None:
    assert socket_folder(Path("/tmp/framework-run-x")) == {"VLLM_RPC_BASE_PATH": "/tmp/framework-run-x"}
    assert socket_folder(Path("/scratch") / ("x" * 60)) == {}
