"""Which physics is behind a simulated server: a calibrated profile, the datasheet, or the published twin."""

from __future__ import annotations

from pathlib import Path

from framework.errors import ConfigError
from framework_serving.hardware.catalogue import gpu_spec, model_shape
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape
from framework_twin.physics.adapter_loads import UNCALIBRATED_LOADS
from framework_twin.physics.power import datasheet_power
from framework_twin.physics.profile import (
    StepModel,
    TwinProfile,
    assembled,
    find_profile,
    named_profile,
    read_profile,
)
from framework_twin.physics.published_twin import published_twin
from framework_twin.settings import TwinSettings

_FLASH_HEAD_DIMS = (32, 64, 96, 128, 160, 192, 224, 256)
"""Head sizes that FlashAttention-2 has kernels for; vLLM falls back to XFormers for others (OPT-2.7B: 80)."""
_PUBLISHED_BATCH = 100.0
"""Running requests at which the published step, a product of batch and adapters, is linearised."""


def choose_physics(settings: TwinSettings, shape: ModelShape, gpu: GpuSpec) -> tuple[str, StepModel]:
    """Return the engine generation and the step model of a server.

    A profile represents exactly the model and GPU it was measured on: where a shape or a datasheet was changed
    by hand it does not apply, and neither does it with tensor parallelism.

    Raises:
        ConfigError: unknown profile, or one of another engine, model or GPU; names the key.
    """
    if settings.profile == "auto" and settings.physics in ("operators", "roofline"):
        generation, profile = _generation(settings, "v1"), None
    elif settings.profile == "auto":
        generation = _generation(settings, _measured_generation(settings, shape, gpu))
        profile = _measured(settings, shape, gpu, generation)
    elif settings.profile in ("roofline", "published"):
        generation = _generation(settings, "v1")
        if settings.profile == "published":
            return generation, _published(shape, gpu)
        profile = None
    else:
        profile = _named(settings)
        _check_fits(profile, shape, gpu)
        generation = _generation(settings, profile.generation)
        if generation != profile.generation:
            raise ConfigError(
                f"backend.profile: '{profile.name}' is for engine {profile.generation}, this server is {generation}"
            )
    if profile is None and settings.physics == "profile":
        raise ConfigError(
            f"backend.physics: no profile of {shape.name} on {gpu.name} ({generation}) was fitted; "
            "operators or roofline answer, or calibrate one"
        )
    attention = "FLASH_ATTN" if shape.head_dim in _FLASH_HEAD_DIMS or generation == "v1" else "XFORMERS"
    return generation, assembled(
        shape,
        gpu,
        generation,
        profile,
        attention,
        settings.deployment,
        "roofline" if settings.profile == "roofline" else settings.physics,
        getattr(settings, "engine_version", None),
        settings.speculation,
    )


def _generation(settings: TwinSettings, measured: str) -> str:
    """V0 where chunked prefill is switched off (V1 always chunks), else as set, else as measured."""
    if settings.engine != "auto":
        return settings.engine
    return "v0" if settings.chunked_prefill is False else measured


def _measured_generation(settings: TwinSettings, shape: ModelShape, gpu: GpuSpec) -> str:
    found = [generation for generation in ("v1", "v0") if _measured(settings, shape, gpu, generation)]
    return found[0] if found else "v1"


def _measured(settings: TwinSettings, shape: ModelShape, gpu: GpuSpec, generation: str) -> TwinProfile | None:
    if settings.deployment.gpus > 1 or settings.speculation or not _as_published(shape, gpu):
        return None
    return find_profile(shape.name, gpu.name, generation, dtype="auto", folder=_folder(settings))


def _as_published(shape: ModelShape, gpu: GpuSpec) -> bool:
    try:
        return model_shape(shape.name) == shape and gpu_spec(gpu.name) == gpu
    except ConfigError:  # a model or GPU of the user's own
        return False


def _named(settings: TwinSettings) -> TwinProfile:
    if settings.profile.endswith((".yaml", ".yml")):
        return read_profile(Path(settings.profile))
    return named_profile(settings.profile, _folder(settings))


def _folder(settings: TwinSettings) -> Path | None:
    return None if settings.profile_folder is None else Path(settings.profile_folder)


def _check_fits(profile: TwinProfile, shape: ModelShape, gpu: GpuSpec) -> None:
    if not profile.is_of(shape.name):
        raise ConfigError(
            f"backend.profile: '{profile.name}' is for {profile.models[0]}, not for {shape.name}"
        )
    if profile.gpu.lower() != gpu.name.lower():
        raise ConfigError(
            f"backend.profile: '{profile.name}' was measured on {profile.gpu}, not on {gpu.name}"
        )


def _published(shape: ModelShape, gpu: GpuSpec) -> StepModel:
    twin = published_twin(shape.name)
    if twin is None:
        raise ConfigError(f"backend.profile: no published twin for {shape.name} (arXiv 2508.08343)")
    law, power = twin.law(_PUBLISHED_BATCH), datasheet_power(shape, gpu)
    return StepModel(law, UNCALIBRATED_LOADS, power, None, touches_first=True)
