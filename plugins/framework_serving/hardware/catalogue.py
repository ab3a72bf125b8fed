"""Look-up of model shapes and GPUs by the name they carry in run tables."""

from __future__ import annotations

import dataclasses
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape

_Spec = TypeVar("_Spec", ModelShape, GpuSpec)


def model_shape(name: str) -> ModelShape:
    """Return the shape of the model called `name` (`opt-1.3b`). Raises `ConfigError` if it is unknown."""
    return _named(name, "model", ModelShape)


def gpu_spec(name: str) -> GpuSpec:
    """Return the datasheet of the GPU called `name` (`H100-64GB`). Raises `ConfigError` if it is unknown."""
    return _named(name, "gpu", GpuSpec)


def _named(name: str, group: str, kind: type[_Spec]) -> _Spec:
    known = _names(group)
    path = known.get(_normal(name))
    if path is None:
        raise ConfigError(f"{group}: unknown {group} '{name}'{did_you_mean(_normal(name), known)}")
    return _load(path, kind)


def _normal(name: str) -> str:
    return name.strip().lower().replace(" ", "-").replace("_", "-")


@cache
def _names(group: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((_conf_folder() / group).glob("*.yaml"))}


def _load(path: Path, kind: type[_Spec]) -> _Spec:
    import yaml  # type: ignore[import-untyped]

    values: dict[str, Any] = yaml.safe_load(path.read_text())
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(**{key: value for key, value in values.items() if key in fields})


def _conf_folder() -> Path:
    """The shipped configuration: inside the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("framework")))
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
