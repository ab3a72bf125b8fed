"""What vLLM takes for settings that nobody makes: by its version, the GPU and the use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from framework.errors import ConfigError
from framework_serving.hardware.gpu_spec import GpuSpec

# Where each number comes from is in docs/twin_physics.md.
USES = ("server", "offline")
"""`vllm serve`, or the class `LLM` in a program of one's own."""

_LARGE_GIB = 70.0
_LONG_CONTEXT = 32 * 1024
_V1_SINCE = (0, 8)
_A100_APART_SINCE = (0, 9)
_LARGER_CHUNKS_SINCE = (0, 7)
_OLDEST, _NEWEST = (0, 5), (0, 19)
NEWEST_VERSION = f"{_NEWEST[0]}.{_NEWEST[1]}"

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM has adapter slots for (`LoRAConfig`, since 0.8)."""


def slot_rank(largest: int) -> int:
    """Return the rank of the slots that adapters up to a rank need.

    Raises:
        ConfigError: no slot is so large.
    """
    found = next((rank for rank in LORA_RANKS if rank >= largest), None)
    if found is None:
        raise ConfigError(
            f"workload.ranks: {largest} is above {LORA_RANKS[-1]}, the largest rank that vLLM has slots for"
        )
    return found


@dataclass(frozen=True)
class EngineDefaults:
    """Settings that an engine takes by itself.

    Attributes:
        generation: scheduler generation `v0` or `v1`.
        max_num_seqs, max_num_batched_tokens: limits of a step; the tokens are None where a whole prompt must fit.
        chunked_prefill: whether prompts are computed in chunks.
        prefix_caching: whether prompts that begin alike share their KV blocks.
    """

    generation: str
    max_num_seqs: int
    max_num_batched_tokens: int | None
    chunked_prefill: bool
    prefix_caching: bool


def engine_defaults(
    version: str, gpu: GpuSpec, use: str, max_model_len: int, lora: bool = False
) -> EngineDefaults:
    """Return the defaults of a version of vLLM on a GPU.

    Args:
        version: such as `0.11.0`; the first two numbers count.
        use: one of `USES`.
        max_model_len: longest request, tokens: V0 chunks the prompts of models with long contexts.
        lora: whether adapters are served: V0 does not chunk then.

    Raises:
        ConfigError: a version that is none, or whose defaults are not known; names `backend.engine_version`.
    """
    known = _numbers(version)
    if known < _V1_SINCE:
        chunks = max_model_len > _LONG_CONTEXT and not lora
        size = 2048 if known >= _LARGER_CHUNKS_SINCE else 512
        return EngineDefaults("v0", 256, size if chunks else None, chunks, False)
    offline = use == "offline"
    # large budgets made A100s slower, so that later versions look at the name too
    a100 = gpu.name.upper().startswith("A100") and known >= _A100_APART_SINCE
    if gpu.memory_gib >= _LARGE_GIB and not a100:
        return EngineDefaults("v1", 1024, 16384 if offline else 8192, True, True)
    return EngineDefaults("v1", 256, 8192 if offline else 2048, True, True)


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", str(version))
    if found is None:
        raise ConfigError(f"backend.engine_version: '{version}' is not a version of vLLM, such as 0.11.0")
    numbers = int(found[1]), int(found[2])
    if not _OLDEST <= numbers <= _NEWEST:
        raise ConfigError(
            f"backend.engine_version: the defaults of {version} are not known, "
            f"only those of 0.{_OLDEST[1]} to 0.{_NEWEST[1]}"
        )
    return numbers
