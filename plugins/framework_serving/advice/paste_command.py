"""The engine's own command line for the settings of any serving run, to be pasted on a machine with the engine.

No engine is asked here, so only flags that every version since 0.8 takes are written; `engine_arguments` is what a
study itself starts, checked against the engine that is installed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from framework_serving.engine_defaults import LORA_RANKS
from framework_serving.engine_knobs import replica_knobs

_PORT = 8000
_VALUES = {
    "max_num_seqs": "--max-num-seqs",
    "max_num_batched_tokens": "--max-num-batched-tokens",
    "max_model_len": "--max-model-len",
    "kv_blocks": "--num-gpu-blocks-override",
}
_SWITCHES = {
    "chunked_prefill": "enable-chunked-prefill",
    "enable_prefix_caching": "enable-prefix-caching",
}
_LORA = {
    "max_loras": "--max-loras",
    "max_cpu_loras": "--max-cpu-loras",
    "max_lora_rank": "--max-lora-rank",
}
_PARALLEL = {
    "tensor_parallel": "--tensor-parallel-size",
    "pipeline_parallel": "--pipeline-parallel-size",
    "data_parallel": "--data-parallel-size",
}


def paste_commands(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one `vllm serve` a replica; nothing for a run that is not of a serving engine.

    Replicas that share a GPU get their part of its memory each; where there are more GPUs, a line says which ones are
    its own.
    """
    backend, model = config.get("backend") or {}, config.get("model") or {}
    name = backend.get("model_path") or model.get("path") or model.get("id") or model.get("hf_id")
    if not name or backend.get("max_num_seqs") is None:
        return
    words = _words(backend, config.get("workload") or {})
    knobs = replica_knobs(backend)
    for replica in range(knobs.replicas):
        memory = []
        if backend.get("gpu_memory_utilization") is not None:
            memory = ["--gpu-memory-utilization", f"{knobs.memory_share:.4g}"]
        port = [] if knobs.replicas == 1 else ["--port", str(_PORT + replica)]
        line = shlex.join(["vllm", "serve", str(name), *words, *memory, *port])
        apart = knobs.gpu_count > knobs.replica_gpus
        yield f"CUDA_VISIBLE_DEVICES={','.join(map(str, knobs.gpus_of(replica)))} {line}" if apart else line


def _words(backend: Mapping[str, Any], workload: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for key, flag in _VALUES.items():
        if backend.get(key) is not None:
            words += [flag, str(backend[key])]
    for key, flag in _SWITCHES.items():
        if isinstance(backend.get(key), bool):
            words.append(f"--{flag}" if backend[key] else f"--no-{flag}")
    if backend.get("enforce_eager") is True:
        words.append("--enforce-eager")
    for key, flag in _PARALLEL.items():
        if int(backend.get(key) or 1) > 1:
            words += [flag, str(backend[key])]
    if int(backend.get("expert_parallel") or 1) > 1:
        words.append("--enable-expert-parallel")
    if workload.get("n_adapters"):
        words.append("--enable-lora")
        for key, value in _lora_settings(backend, workload).items():
            words += [_LORA[key], str(value)]
    return words


def _lora_settings(backend: Mapping[str, Any], workload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is reserved for adapters: as it is set, else room for all of the workload's, as a study has it."""
    adapters, ranks = int(workload["n_adapters"]), workload.get("ranks") or ()
    slots = backend.get("max_loras") or adapters
    found = {"max_loras": slots, "max_cpu_loras": backend.get("max_cpu_loras") or max(slots, adapters)}
    largest = max(ranks, default=0)
    rank = backend.get("max_lora_rank") or next((size for size in LORA_RANKS if size >= largest > 0), None)
    return found if rank is None else {**found, "max_lora_rank": rank}
