"""Which model the engine loads: a folder, a name on the Hugging Face hub, or a generated toy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, SetupError
from framework_serving.hardware.catalogue import shape_of_group
from framework_serving.hardware.model_shape import ModelShape
from framework_vllm.models.tiny_model import GENERATED, generated_model
from framework_vllm.settings import EngineSettings


def model_shape(settings: EngineSettings) -> ModelShape | None:
    """Return the model's dimensions; None where its configuration group tells none that we know."""
    with suppress(ConfigError):  # the engine knows models that we don't, and says what it misses
        return shape_of_group(_group(settings))
    return None


def model_name(settings: EngineSettings) -> str:
    """Return the name under which the model is served."""
    shape = model_shape(settings)
    name = _group(settings).get("name") or (shape.name if shape else None)
    return str(name or Path(settings.model_path or "model").name)


def check_model(settings: EngineSettings) -> None:
    """Raise `ConfigError` if no model is named, or a folder that is not there; nothing is generated yet."""
    source = _source(settings)
    if source != GENERATED and _is_path(source) and not Path(source).expanduser().is_dir():
        raise SetupError(f"{_key(settings)}: there is no folder '{source}'", ("model", "backend.model_path"))
    if source == GENERATED and model_shape(settings) is None:
        raise ConfigError(
            f"model.path: '{GENERATED}' needs the dimensions of the model, as in model=tiny-llama"
        )


def resolve_model(settings: EngineSettings) -> str:
    """Return what to give the engine as its model; writes a generated one if it is not in the cache."""
    check_model(settings)
    source = _source(settings)
    if source == GENERATED:
        shape = model_shape(settings)
        assert shape is not None
        return str(generated_model(shape))
    return str(Path(source).expanduser()) if _is_path(source) else source


def _group(settings: EngineSettings) -> Mapping[str, Any]:
    return settings.model if isinstance(settings.model, Mapping) else {}


def _source(settings: EngineSettings) -> str:
    group = _group(settings)
    path = group.get("path")
    if path and Path(str(path)).name == "config.json":
        path = Path(str(path)).parent
    found = settings.model_path or path or group.get("id") or group.get("hf_id")
    if not found:
        name = group.get("name")
        raise ConfigError(
            f"backend.model_path: model '{name}' has neither a folder nor a Hugging Face name"
            if name
            else "backend.model_path: no model is selected; use model=NAME or backend.model_path=FOLDER"
        )
    return str(found)


def _key(settings: EngineSettings) -> str:
    return "backend.model_path" if settings.model_path else "model.path"


def _is_path(source: str) -> bool:
    return source.startswith((".", "~", os.sep)) or Path(source).is_dir()
