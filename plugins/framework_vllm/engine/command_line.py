"""From settings to the command line of `vllm serve`, with every flag checked before anything starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.number_types import number_type
from framework_vllm.engine.interpreter import Engine, Flag
from framework_vllm.settings import EngineSettings


@dataclass(frozen=True)
class LoraPlan:
    """What the engine reserves for adapters, and which it is to serve.

    Attributes:
        max_loras: slots of the running batch.
        max_cpu_loras: adapters kept in host memory, at least as many.
        max_lora_rank: rank that a slot has room for, one that the engine offers.
        modules: served name to folder.
    """

    max_loras: int
    max_cpu_loras: int
    max_lora_rank: int
    modules: Mapping[str, Path]


_DEFAULTS = {
    "enable_per_request_metrics": True,  # each answer then reports when it was scheduled
    "disable_uvicorn_access_log": True,
    "generation_config": "vllm",  # a model's own sampling penalties would cost time in every step
}
_KV_TYPES = {"bf16": "bfloat16", "fp16": "float16", "fp8": "fp8"}
_PARALLEL = ("tensor_parallel", "pipeline_parallel", "data_parallel")


def adapter_name(adapter_id: int) -> str:
    """Return the name under which an adapter is served."""
    return f"adapter-{adapter_id}"


def lora_ranks_offered(engine: Engine) -> tuple[int, ...]:
    """Return the sizes of adapter slots that this engine knows; empty if it takes any."""
    flag = engine.flags.get("max_lora_rank")
    return tuple(int(choice) for choice in flag.choices) if flag is not None and flag.choices else ()


def plan_lora(settings: EngineSettings, engine: Engine, ranks: Mapping[int, int]) -> LoraPlan | None:
    """Return what to reserve for adapters of these ranks; None without adapters and without `max_loras`.

    A slot is at least as large as the largest rank, in a size that the engine offers.

    Raises:
        ConfigError: a size that the engine doesn't offer, or too small for the workload's adapters.
    """
    if not ranks and settings.max_loras is None:
        return None
    largest = max(ranks.values(), default=8)
    offered = lora_ranks_offered(engine)
    rank = settings.max_lora_rank
    if rank is None:
        rank = min((size for size in offered if size >= largest), default=largest)
    elif offered and rank not in offered:
        sizes = ", ".join(map(str, offered))
        raise ConfigError(f"backend.max_lora_rank: {rank} is not one of {sizes} (vLLM {engine.version})")
    if rank < largest:
        raise ConfigError(
            f"backend.max_lora_rank: {rank} is below the rank {largest} of the workload's adapters"
        )
    slots = settings.max_loras if settings.max_loras is not None else max(1, len(ranks))
    in_memory = settings.max_cpu_loras if settings.max_cpu_loras is not None else max(slots, len(ranks))
    if in_memory < slots:
        raise ConfigError(f"backend.max_cpu_loras: {in_memory} is below backend.max_loras, {slots}")
    return LoraPlan(slots, in_memory, rank, {})


def serve_command(
    engine: Engine, model: str, served_name: str, host: str, port: int, arguments: list[str]
) -> list[str]:
    """Return the whole command that serves `model` on `host:port`."""
    own = ["--model", model, "--served-model-name", served_name, "--host", host, "--port", str(port)]
    return [*engine.words, "-m", "vllm.entrypoints.openai.api_server", *own, *arguments]


def engine_arguments(
    settings: EngineSettings, engine: Engine, lora: LoraPlan | None, *, memory_share: float, replicas: int
) -> list[str]:
    """Return the flags of one replica, in the order: knobs, adapters, `engine_args`.

    Args:
        memory_share: of a GPU's memory, for this replica.
        replicas: engines that share `cpu_kv_gib`.

    Raises:
        ConfigError: a flag that this engine doesn't have, or a value that it doesn't take.
    """
    wanted: dict[str, Any] = {
        **_knobs(settings, engine, memory_share, replicas),
        **(_lora_flags(lora) if lora else {}),
    }
    words: list[str] = []
    for name, value in wanted.items():
        words += _words(name, value, engine, f"backend.{name}")
    for key, value in settings.engine_args.items():
        if key.lstrip("-").replace("-", "_") == "kv_cache_dtype" and wanted["kv_cache_dtype"]:
            raise ConfigError(f"backend.engine_args.{key}: is set by model.kv_type; use that key")
        words += _words(key.lstrip("-").replace("-", "_"), value, engine, f"backend.engine_args.{key}")
    return words


def _knobs(settings: EngineSettings, engine: Engine, memory_share: float, replicas: int) -> dict[str, Any]:
    budget = settings.max_num_batched_tokens
    if budget is None and settings.chunked_prefill is False:
        # a whole prompt must fit into one step then
        budget = max(2048, settings.max_model_len or _context(settings), settings.most_seqs)
    wanted: dict[str, Any] = {
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": budget,
        "max_model_len": settings.max_model_len,
        "enable_chunked_prefill": settings.chunked_prefill,
        "enable_prefix_caching": settings.enable_prefix_caching,
        "enforce_eager": settings.enforce_eager or None,
        **{f"{key}_size": _several(getattr(settings, key, 1)) for key in _PARALLEL},
        "enable_expert_parallel": settings.expert_parallel > 1 or None,
        "num_gpu_blocks_override": settings.kv_blocks,
        "kv_cache_dtype": _kv_type(settings),
    }
    if engine.platform == "cpu":
        if engine.knows("kv_cache_memory_bytes") and "kv_cache_memory_bytes" not in _given(settings):
            shards = replicas * settings.replica_gpus
            wanted["kv_cache_memory_bytes"] = int(settings.cpu_kv_gib / shards * 2**30)
    else:
        wanted["gpu_memory_utilization"] = round(memory_share, 6)
    defaults = {name: value for name, value in _DEFAULTS.items() if engine.knows(name)}
    if engine.knows("disable_log_requests") and not engine.knows("enable_log_requests"):
        defaults["disable_log_requests"] = True  # older versions write every request to the log
    return {**wanted, **{name: value for name, value in defaults.items() if name not in _given(settings)}}


def _kv_type(settings: EngineSettings) -> str | None:
    """Return the engine's word for `model.kv_type`; None where the checkpoint decides, as it does for weights."""
    model = settings.model if isinstance(settings.model, Mapping) else {}
    for key in ("weight_type", "expert_type"):
        if model.get(key):
            raise ConfigError(
                f"model.{key}: without effect on a real engine, which takes that of the checkpoint"
            )
    word = model.get("kv_type")
    if not word:
        return None
    name = number_type(str(word), "model.kv_type").name
    if name not in _KV_TYPES:
        raise ConfigError(
            f"model.kv_type: '{word}' is not one of {', '.join(_KV_TYPES)}, which vLLM's cache can have"
        )
    return _KV_TYPES[name]


def _several(count: int) -> int | None:
    return count if count > 1 else None


def _given(settings: EngineSettings) -> set[str]:
    return {key.lstrip("-").replace("-", "_").removeprefix("no_") for key in settings.engine_args}


def _context(settings: EngineSettings) -> int:
    model = settings.model if isinstance(settings.model, Mapping) else {}
    return int(model.get("max_model_len") or 0)


def _lora_flags(lora: LoraPlan) -> dict[str, Any]:
    flags: dict[str, Any] = {
        "enable_lora": True,
        "max_loras": lora.max_loras,
        "max_cpu_loras": lora.max_cpu_loras,
        "max_lora_rank": lora.max_lora_rank,
    }
    if lora.modules:
        flags["lora_modules"] = [f"{name}={path}" for name, path in lora.modules.items()]
    return flags


def _words(name: str, value: Any, engine: Engine, key: str) -> list[str]:
    """Return the words of one flag; none for null and for a switch that is off by default."""
    if value is None:
        return []
    flag = engine.flags.get(name)
    if flag is None:
        raise ConfigError(
            f"{key}: vLLM {engine.version} has no flag --{name.replace('_', '-')}{did_you_mean(name, engine.flags)}"
        )
    if not flag.takes_value:
        return _switch(flag, value, key)
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) > 1 and not flag.many:
        raise ConfigError(f"{key}: takes one value, got {len(values)}")
    return [flag.options[0], *(_word(flag, item, key) for item in values)]


def _switch(flag: Flag, value: Any, key: str) -> list[str]:
    if not isinstance(value, bool):
        raise ConfigError(f"{key}: is a switch, true or false, got {value!r}")
    off = [option for option in flag.options if option.startswith("--no-")]
    if value:
        return [flag.options[0]]
    return off[:1]  # a switch without a --no- spelling is off unless named


def _word(flag: Flag, value: Any, key: str) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if flag.choices is not None and text not in flag.choices:
        raise ConfigError(f"{key}: '{text}' is not one of {', '.join(flag.choices)}")
    number = {"int": int, "float": float}.get(flag.type or "")
    if number is not None:
        try:
            number(text)
        except ValueError:
            raise ConfigError(f"{key}: '{text}' is not a number") from None
    return text
