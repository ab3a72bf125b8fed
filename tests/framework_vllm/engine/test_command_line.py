from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.errors import ConfigError
from framework_serving.engine_knobs import checked_settings
from framework_vllm.engine.command_line import LoraPlan, engine_arguments, plan_lora, serve_command
from framework_vllm.engine.interpreter import Engine
from framework_vllm.settings import VllmSettings
from tests.framework_vllm.engines import engine


def words(installed: Engine | None = None, lora: LoraPlan | None = None, **keys: Any) -> list[str]:
    settings = checked_settings(VllmSettings, keys)
    return engine_arguments(
        settings,
        installed or engine(),
        lora,
        memory_share=settings.memory_share,
        replicas=settings.replicas,
    )


def value(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_the_number_type_of_the_cache_is_a_flag_and_those_of_weights_are_the_checkpoints() -> None:
    assert value(words(model={"kv_type": "fp8"}), "--kv-cache-dtype") == "fp8"
    assert "--kv-cache-dtype" not in words(model={"kv_type": None})
    with pytest.raises(ConfigError, match=r"^model\.weight_type: without effect on a real engine"):
        words(model={"weight_type": "fp8"})
    with pytest.raises(ConfigError, match=r"^gpu\.count: the machine has 1 GPUs"):
        words(gpu={"count": 1}, tensor_parallel=2)


def test_knobs_become_the_flags_of_the_same_meaning() -> None:
    given = words(max_num_seqs=64, max_model_len=2048, kv_blocks=100, enforce_eager=True, tensor_parallel=2)
    assert value(given, "--max-num-seqs") == "64"
    assert value(given, "--max-model-len") == "2048"
    assert value(given, "--num-gpu-blocks-override") == "100"
    assert value(given, "--tensor-parallel-size") == "2"
    assert "--enforce-eager" in given
    assert "--no-enable-prefix-caching" in given


def test_a_replica_is_spread_over_gpus_as_its_twin_is() -> None:
    given = words(tensor_parallel=2, pipeline_parallel=3, data_parallel=4, expert_parallel=8)
    sizes = [value(given, f"--{kind}-parallel-size") for kind in ("tensor", "pipeline", "data")]
    assert sizes == ["2", "3", "4"]
    assert "--enable-expert-parallel" in given
    assert not [word for word in words() if "parallel" in word]
    on_cpu = words(engine("cpu"), pipeline_parallel=2, replicas=2, gpus=4, cpu_kv_gib=1.0)
    assert value(on_cpu, "--kv-cache-memory-bytes") == str(2**28)  # of each of the four parts


def test_a_number_of_expert_groups_that_the_engine_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"backend\.expert_parallel: 2, but vLLM .* \(8\), or cuts each"):
        words(tensor_parallel=4, data_parallel=2, expert_parallel=2)


def test_a_type_that_no_cache_can_have_or_that_is_stated_twice_is_refused() -> None:
    for model, own, message in (
        ({"kv_type": "int4"}, {}, r"model\.kv_type: 'int4' is not one of bf16, fp16, fp8"),
        (
            {"kv_type": "fp8"},
            {"kv-cache-dtype": "auto"},
            r"engine_args\.kv-cache-dtype: is set by model\.kv_type",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            words(model=model, engine_args=own)


def test_what_is_left_out_is_the_engines_to_choose() -> None:
    given = words()
    for flag in ("--max-model-len", "--max-num-batched-tokens", "--num-gpu-blocks-override"):
        assert flag not in given
    assert not [flag for flag in given if "chunked-prefill" in flag]


def test_without_chunked_prefill_a_step_has_room_for_the_longest_prompt() -> None:
    given = words(chunked_prefill=False, max_model_len=4096)
    assert "--no-enable-chunked-prefill" in given
    assert value(given, "--max-num-batched-tokens") == "4096"
    assert (
        value(words(chunked_prefill=False, model={"max_model_len": 8192}), "--max-num-batched-tokens")
        == "8192"
    )
    assert value(words(chunked_prefill=False, max_model_len=512), "--max-num-batched-tokens") == "2048"


def test_replicas_on_one_gpu_share_its_memory() -> None:
    assert value(words(replicas=4, gpu_memory_utilization=0.9), "--gpu-memory-utilization") == "0.225"
    assert value(words(replicas=4, gpus=4), "--gpu-memory-utilization") == "0.9"


def test_on_a_cpu_the_kv_space_is_split_and_no_share_of_a_gpu_is_asked_for() -> None:
    given = words(engine("cpu"), replicas=2, cpu_kv_gib=1.0)
    assert value(given, "--kv-cache-memory-bytes") == str(2**29)
    assert "--gpu-memory-utilization" not in given


def test_a_flag_of_newer_versions_is_left_out_where_the_engine_lacks_it() -> None:
    older = engine(without=("enable_per_request_metrics",))
    assert "--enable-per-request-metrics" in words()
    assert "--enable-per-request-metrics" not in words(older)


def test_what_is_set_for_a_clean_measurement_gives_way_to_the_user() -> None:
    assert value(words(), "--generation-config") == "vllm"
    own = words(engine_args={"generation-config": "auto"})
    assert own.count("--generation-config") == 1
    assert value(own, "--generation-config") == "auto"


def test_any_flag_can_be_set_with_dashes_or_underscores() -> None:
    given = words(
        engine_args={
            "dtype": "bfloat16",
            "block-size": 32,
            "compilation_config": {"level": 0},
            "cudagraph_capture_sizes": [1, 2, 4],
            "disable_log_stats": True,
        }
    )
    assert value(given, "--dtype") == "bfloat16"
    assert value(given, "--block-size") == "32"
    assert value(given, "--compilation-config") == '{"level": 0}'
    assert given[given.index("--cudagraph-capture-sizes") :][1:4] == ["1", "2", "4"]
    assert "--disable-log-stats" in given


def test_a_switch_set_to_false_is_named_off_where_it_can_be() -> None:
    assert "--disable-log-stats" not in words(engine_args={"disable_log_stats": False})
    assert "--no-enable-per-request-metrics" in words(engine_args={"enable_per_request_metrics": False})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dtyp": "auto"},
            "backend.engine_args.dtyp: vLLM 0.32.0 has no flag --dtyp (did you mean 'dtype'?)",
        ),
        ({"dtype": "bf16"}, "backend.engine_args.dtype: 'bf16' is not one of auto, bfloat16, float16"),
        ({"block_size": "many"}, "backend.engine_args.block_size: 'many' is not a number"),
        ({"block_size": [1, 2]}, "backend.engine_args.block_size: takes one value, got 2"),
        (
            {"disable_log_stats": 1},
            "backend.engine_args.disable_log_stats: is a switch, true or false, got 1",
        ),
        (
            {"max-num-seqs": 3},
            "backend.engine_args.max-num-seqs: is set by backend.max_num_seqs; use that key",
        ),
    ],
)
def test_a_bad_flag_is_refused_in_one_line_that_names_it(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        words(engine_args=arguments)
    assert str(refused.value) == message


def lora(ranks: dict[int, int], **keys: Any) -> LoraPlan | None:
    return plan_lora(checked_settings(VllmSettings, keys), engine(), ranks)


def test_a_workload_without_adapters_reserves_nothing_unless_told() -> None:
    assert lora({}) is None
    assert lora({}, max_loras=4) == LoraPlan(4, 4, 8, {})


def test_slots_default_to_what_the_workload_needs_in_a_size_that_the_engine_has() -> None:
    assert lora({0: 4, 1: 12, 2: 8}) == LoraPlan(3, 3, 16, {})
    assert lora({0: 8, 1: 8, 2: 8}, max_loras=1) == LoraPlan(1, 3, 8, {})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_lora_rank": 12}, "backend.max_lora_rank: 12 is not one of 1, 8, 16, 32, 64 (vLLM 0.32.0)"),
        ({"max_lora_rank": 8}, "backend.max_lora_rank: 8 is below the rank 16 of the workload's adapters"),
        ({"max_loras": 4, "max_cpu_loras": 2}, "backend.max_cpu_loras: 2 is below backend.max_loras, 4"),
    ],
)
def test_adapter_slots_that_can_not_be_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        lora({0: 16, 1: 8}, **keys)
    assert str(refused.value) == message


@given(
    ranks=st.dictionaries(st.integers(0, 50), st.integers(1, 64), min_size=1),
    slots=st.none() | st.integers(1, 9),
)
def test_every_adapter_fits_its_slot_and_host_memory_holds_the_slots(
    ranks: dict[int, int], slots: int | None
) -> None:
    plan = lora(ranks, max_loras=slots)
    assert plan is not None
    assert plan.max_lora_rank >= max(ranks.values())
    assert plan.max_cpu_loras >= plan.max_loras >= 1
    assert plan.max_cpu_loras >= len(ranks)


def test_adapters_are_named_with_their_folders() -> None:
    given = words(lora=LoraPlan(1, 2, 8, {"adapter-0": Path("a"), "adapter-1": Path("b")}))
    assert given[given.index("--lora-modules") :][1:3] == ["adapter-0=a", "adapter-1=b"]
    assert "--enable-lora" in given


def test_a_container_stands_before_the_interpreter() -> None:
    installed = Engine(("docker", "run", "image", "python3"), "0.32.0", "vllm", "cuda", {})
    command = serve_command(installed, "/models/opt", "opt", "127.0.0.1", 8000, ["--dtype", "auto"])
    assert command[:5] == ["docker", "run", "image", "python3", "-m"]
    assert command[-2:] == ["--dtype", "auto"]
    assert value(command, "--port") == "8000"
