"""Which GPUs each replica gets, and how much of their memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from framework.errors import ConfigError
from framework_vllm.settings import VllmSettings


@dataclass(frozen=True)
class Place:
    """Where one replica runs.

    Attributes:
        devices: what its `CUDA_VISIBLE_DEVICES` names; empty on a CPU.
        memory_share: of each of these GPUs' memory.
    """

    devices: tuple[str, ...]
    memory_share: float

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that put an engine there."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else {}


def visible_devices(
    count: int, environment: Mapping[str, str] = os.environ, installed: int | None = None
) -> tuple[str, ...]:
    """Return the first `count` GPUs that this process may use, as the scheduler named them.

    Args:
        installed: GPUs of this machine; None where that is not known.

    Raises:
        ConfigError: it may use fewer.
    """
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        if installed is not None and installed < count:
            raise ConfigError(
                f"backend.gpus: {count} GPUs are needed, {installed} found{_hint(environment, count)}"
            )
        return tuple(map(str, range(count)))
    named = tuple(name.strip() for name in given.split(",") if name.strip())
    if len(named) < count:
        raise ConfigError(
            f"backend.gpus: {count} GPUs are needed, CUDA_VISIBLE_DEVICES={given!r} allows {len(named)}"
            f"{_hint(environment, count)}"
        )
    return named[:count]


def _hint(environment: Mapping[str, str], count: int) -> str:
    return (
        f"; hydra.launcher.gpus_per_node={count} requests them from Slurm"
        if "SLURM_JOB_ID" in environment
        else ""
    )


def places(
    settings: VllmSettings,
    platform: str,
    environment: Mapping[str, str] = os.environ,
    installed: int | None = None,
) -> list[Place]:
    """Return one place for each replica; replicas are assigned over the GPUs evenly."""
    if platform == "cpu":
        return [Place((), settings.memory_share)] * settings.replicas
    devices = visible_devices(settings.gpu_count, environment, installed)
    return [
        Place(tuple(devices[place] for place in settings.gpus_of(replica)), settings.memory_share)
        for replica in range(settings.replicas)
    ]
