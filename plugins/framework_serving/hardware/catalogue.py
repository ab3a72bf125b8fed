"""Look-up of model shapes and GPUs by the name they carry in run tables."""

from __future__ import annotations

import dataclasses
import re
from typing import TypeVar

from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.gpu_spec import GpuSpec
from framework_serving.hardware.model_shape import ModelShape

_SEPARATORS = re.compile("[ _]")
_Spec = TypeVar("_Spec", ModelShape, GpuSpec)


def model_shape(name: str) -> ModelShape:
    """Return the shape of the model called `name` (`opt-1.3b`). Raises `ConfigError` if it is unknown."""
    return _named(name, "model", ModelShape)


def gpu_spec(name: str) -> GpuSpec:
    """Return the datasheet of the GPU called `name` (`H100-64GB`). Raises `ConfigError` if it is unknown."""
    return _named(name, "gpu", GpuSpec)


def _named(name: str, group: str, kind: type[_Spec]) -> _Spec:
    """Return the option of a group whose file, or whose key `name`, is called so."""
    files = group_files(group)
    option = next((option for option in files if _same(option, name)), None) or next(
        (option for option in files if _same(str(group_option(group, option).get("name")), name)), None
    )
    if option is None:
        raise ConfigError(f"{group}: unknown {group} '{name}'{did_you_mean(name.lower(), files)}")
    values = group_option(group, option)
    fields = {field.name for field in dataclasses.fields(kind)}
    missing = sorted(fields - values.keys())
    if missing:
        raise ConfigError(f"{group} '{name}': key '{missing[0]}' is missing")
    return kind(**{key: values[key] for key in fields})


def _same(one: str, other: str) -> bool:
    """Return whether two names differ at most in capitals and in what stands between their words."""
    return _SEPARATORS.sub("-", one.strip().lower()) == _SEPARATORS.sub("-", other.strip().lower())
