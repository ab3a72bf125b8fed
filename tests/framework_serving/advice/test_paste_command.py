"""The engine's command line for the settings of a run."""

from __future__ import annotations

from framework_serving.advice.paste_command import paste_commands

MODEL = {"name": "opt-1.3b", "hf_id": "facebook/opt-1.3b"}


def test_settings_become_flags_and_what_is_unset_none() -> None:
    backend = {
        "max_num_seqs": 64, "max_num_batched_tokens": None, "gpu_memory_utilization": 0.9, "chunked_prefill": False,
        "enforce_eager": True, "tensor_parallel": 2,
    }  # fmt: skip
    assert list(paste_commands({"backend": backend, "model": MODEL})) == [
        "vllm serve facebook/opt-1.3b --max-num-seqs 64 --no-enable-chunked-prefill --enforce-eager "
        "--tensor-parallel-size 2 --gpu-memory-utilization 0.9"
    ]


def test_replicas_share_the_memory_and_have_a_port_each() -> None:
    backend = {"max_num_seqs": 8, "gpu_memory_utilization": 0.9, "replicas": 2}
    commands = list(paste_commands({"backend": backend, "model": MODEL}))
    assert [command.split(" --gpu-memory-utilization ")[1] for command in commands] == [
        "0.45 --port 8000",
        "0.45 --port 8001",
    ]


def test_replicas_with_gpus_of_their_own_have_the_whole_memory_of_those() -> None:
    backend = {"max_num_seqs": 8, "gpu_memory_utilization": 0.9, "replicas": 2, "data_parallel": 2, "gpus": 4}
    commands = list(paste_commands({"backend": {**backend, "expert_parallel": 2}, "model": MODEL}))
    shared = "vllm serve facebook/opt-1.3b --max-num-seqs 8 --data-parallel-size 2 --enable-expert-parallel"
    assert commands == [
        f"CUDA_VISIBLE_DEVICES=0,1 {shared} --gpu-memory-utilization 0.9 --port 8000",
        f"CUDA_VISIBLE_DEVICES=2,3 {shared} --gpu-memory-utilization 0.9 --port 8001",
    ]


def test_adapters_need_lora() -> None:
    backend = {"max_num_seqs": 8, "max_loras": 4, "max_lora_rank": 16}
    (command,) = paste_commands({"backend": backend, "model": MODEL, "workload": {"n_adapters": 32}})
    assert "--enable-lora --max-loras 4 --max-cpu-loras 32 --max-lora-rank 16" in command


def test_slots_are_large_enough_for_the_largest_adapter_and_all_adapters_stay_in_memory() -> None:
    workload = {"n_adapters": 3, "ranks": [8, 24]}
    (command,) = paste_commands({"backend": {"max_num_seqs": 8}, "model": MODEL, "workload": workload})
    assert "--enable-lora --max-loras 3 --max-cpu-loras 3 --max-lora-rank 32" in command


def test_a_run_of_another_domain_has_no_command() -> None:
    assert list(paste_commands({"backend": {"name": "mapreduce"}, "workload": {}})) == []
