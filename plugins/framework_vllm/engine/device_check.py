"""The device under the engine, as the machine reports it, compared with the one that the configuration names."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from functools import cache

from framework.contracts import Json, SanityCheck
from framework_vllm.settings import EngineSettings

_MEMORY_TOLERANCE = 0.1
_TIMEOUT_S = 10.0


@cache
def installed_gpus() -> tuple[tuple[str, float], ...]:
    """Return (name, memory in GiB) of each NVIDIA GPU; empty where there is none, or no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        rows = [line.rpartition(",") for line in done.stdout.splitlines() if line.strip()]
        return tuple((name.strip(), float(memory) / 1024) for name, _, memory in rows)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def machine_facts(platform: str | None) -> dict[str, Json]:
    """Return what the engine ran on; nothing where that is not known."""
    if platform is None:
        return {}
    facts: dict[str, Json] = {"engine_platform": platform}
    if platform == "cuda" and installed_gpus():
        facts["device"] = installed_gpus()[0][0]
    return facts


def device_check(settings: EngineSettings, platform: str | None) -> list[SanityCheck]:
    """Return whether the GPU that the configuration names is the actual one: results are listed under its name."""
    named = settings.gpu if isinstance(settings.gpu, Mapping) else {}
    name, memory_gib = named.get("name"), named.get("memory_gib")
    if platform is None or name is None:
        return []
    if platform == "cpu":
        right = str(name).lower() == "cpu"
        detail = "the engine ran on a CPU" + (
            "" if right else f", but the configuration says {name}; use gpu=cpu"
        )
        return [SanityCheck("device_named", "pass" if right else "warn", detail)]
    gpus = installed_gpus()
    if not gpus or memory_gib is None:
        return []
    found, found_gib = gpus[0]
    near = abs(found_gib / float(memory_gib) - 1.0) <= _MEMORY_TOLERANCE
    detail = f"{found} with {found_gib:.1f} GiB, the configuration says {name} with {memory_gib} GiB"
    return [SanityCheck("device_named", "pass" if near else "warn", detail)]
