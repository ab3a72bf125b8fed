"""The engine's environment variables: what it needs by default, under what the user sets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from framework_vllm.engine.interpreter import Engine
from framework_vllm.server.engine_facts import DEVELOPER_MODE
from framework_vllm.settings import EngineSettings

_QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
"""For a model in a folder: a node without a way out would wait for the hub's answer."""

_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
"""On few cores two OpenMP threads halve the speed of a small model; binding them needs rights in a container."""

_LONGEST_SOCKET_FOLDER = 60
"""A socket's path may have 107 bytes, and vLLM's names take 37 of them."""


def socket_folder(folder: Path) -> dict[str, str]:
    """Return the variable that has an engine's processes meet in a run's own folder.

    They leave their sockets behind when they are killed; there, these go with the run. No variable where the
    folder's path is too long for a socket.
    """
    return {"VLLM_RPC_BASE_PATH": str(folder)} if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER else {}


def engine_environment(
    settings: EngineSettings,
    engine: Engine,
    *,
    local_model: bool = False,
    runtime_loras: bool = False,
    ours: Mapping[str, str] = os.environ,
) -> dict[str, str | None]:
    """Return what to change of our environment for an engine; None takes a variable away.

    Args:
        local_model: the model is in a folder.
        runtime_loras: adapters are to be loaded into the running engine.

    A default gives way to a variable that is set around us, and everything to `backend.env`.
    """
    defaults = {**_QUIET, **DEVELOPER_MODE}
    if engine.platform == "cpu":
        defaults |= _CPU
    if local_model:
        defaults |= _OFFLINE
    if runtime_loras:
        defaults["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    kept: dict[str, str | None] = {name: value for name, value in defaults.items() if name not in ours}
    if engine.platform == "cpu":
        # the variable wins over the flag in vLLM; `backend.cpu_kv_gib` has to win over one that is set around us
        by_flag = engine.knows("kv_cache_memory_bytes")
        kept["VLLM_CPU_KVCACHE_SPACE"] = None if by_flag else str(max(1, round(settings.cpu_kv_gib)))
    return {**kept, **{name: str(value) for name, value in settings.env.items()}}
