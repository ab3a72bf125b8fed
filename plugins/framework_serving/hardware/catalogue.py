"""Look-up of model shapes and GPUs: by their name in run tables, or as a configuration group describes them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from framework.configuration.group_options import group_option
from framework.configuration.search_path import group_files
from framework.errors import ConfigError, SetupError, did_you_mean
from framework_serving.hardware.gpu_spec import INTERCONNECTS, GpuSpec
from framework_serving.hardware.model_files import published_configs, resolved_model, shape_of_id
from framework_serving.hardware.model_shape import ModelShape
from framework_serving.hardware.number_types import number_type

_SEPARATORS = re.compile("[ _]")
_WORDS = re.compile(r"[a-z]+\d*[a-z]*|\d+[a-z]*")
_MEMORY = re.compile(r"\d+gb")
_OTHER_CARD = frozenset(
    {"pcie", "nvl", "d", "ti", "super", "laptop", "mobile", "mig", "vgpu", "ada", "max", "q"}
)
"""Words of a driver's name that make another card of the same chip."""
_Spec = TypeVar("_Spec", ModelShape, GpuSpec)
_BESIDE = {"model": ("path", "id", "hf_id", "weights", "tokenizer"), "gpu": ("count",)}
"""Keys of a group that are no part of the description."""


def model_shape(name: str) -> ModelShape:
    """Return the shape of a model by name (`opt-1.3b`) or hub id. Raises `ConfigError` if it is unknown."""
    if "/" in name and not _is_option(name, "model"):
        return shape_of_id(name)
    return _named(name, "model", ModelShape)


def gpu_spec(name: str) -> GpuSpec:
    """Return the datasheet of the GPU called `name` (`H100-64GB`). Raises `ConfigError` if it is unknown."""
    return _named(name, "gpu", GpuSpec)


def shape_of_group(group: Mapping[str, Any]) -> ModelShape | None:
    """Return the shape that a configuration group `model` describes; None for `model=none` and similar groups."""
    values = resolved_model(group)
    fields = dataclasses.fields(ModelShape)
    if values.get("name") is None or any(_needed(field) and field.name not in values for field in fields):
        return None
    return ModelShape(
        **{field.name: values[field.name] for field in fields if values.get(field.name) is not None}
    )


def described_model(group: Any) -> ModelShape:
    """Return the shape that the configuration group `model` describes; see `described_gpu`."""
    shape = _described(resolved_model(group) if isinstance(group, Mapping) else group, "model", ModelShape)
    for key in ("weight_type", "expert_type", "kv_type"):
        if getattr(shape, key):
            number_type(getattr(shape, key), f"model.{key}")
    if shape.expert_type and not shape.experts:
        raise ConfigError(f"model.expert_type: {shape.name} has no experts")
    return shape


def described_gpu(group: Any) -> GpuSpec:
    """Return the accelerator that the configuration group `gpu` describes.

    Raises:
        ConfigError: nothing is described, a key is missing, or one is there that means nothing.
    """
    gpu = _described(group, "gpu", GpuSpec)
    if gpu.interconnect not in INTERCONNECTS:
        raise ConfigError(f"gpu.interconnect: '{gpu.interconnect}' is not one of {', '.join(INTERCONNECTS)}")
    return gpu


def _described(group: Any, name: str, kind: type[_Spec]) -> _Spec:
    if not isinstance(group, Mapping) or group.get("name") is None:
        some = ", ".join(option for option in group_files(name) if option != "none")
        way = "; model.path=FOLDER or model.id=ORG/NAME" if name == "model" else ""
        needed = f"backend=twin needs a {name}: {name}=NAME{way} (known: {some})"
        raise SetupError(needed, (name, "backend._target_"))  # other settings of the backend don't help
    fields = {field.name: field for field in dataclasses.fields(kind)}
    missing = [key for key, field in fields.items() if _needed(field) and group.get(key) is None]
    if missing:
        raise ConfigError(f"configuration key '{name}.{sorted(missing)[0]}' is missing")
    unknown = sorted(str(key) for key in group if key not in fields and key not in _BESIDE[name])
    if unknown:
        raise ConfigError(
            f"unknown configuration key '{name}.{unknown[0]}'{did_you_mean(unknown[0], fields)}"
        )
    return kind(**{key: group[key] for key in fields if group.get(key) is not None})


def _is_option(name: str, group: str) -> bool:
    return any(_same(option, name) for option in group_files(group))


def catalogue_name(group: str, name: str) -> str | None:
    """Return our name of a model or GPU that others name; None for one that the catalogue does not hold.

    Known are our own names, a model's name on the Hugging Face hub (`meta-llama/Llama-3.1-8B`) and what a driver
    calls a GPU (`NVIDIA H100 80GB HBM3`).

    Args:
        group: `model` or `gpu`.
        name: as found in somebody's file.
    """
    names: dict[str, str] = {}
    for option in group_files(group):
        values = group_option(group, option)
        own = str(values.get("name") or option)
        if _same(option, name) or _same(own, name):
            return own
        if str(values.get("hf_id") or "").lower() == name.strip().lower():
            return own
        names[option] = own
    return names.get(_by_driver(name, list(names)) or "") if group == "gpu" else None


def _by_driver(name: str, options: list[str]) -> str | None:
    """Return the GPU whose words all stand in a driver's name; the memory may be left out where one has the chip."""
    words = set(_WORDS.findall(name.lower()))
    memory = {word for word in words if _MEMORY.fullmatch(word)}
    found = []
    for option in options:
        own = set(option.lower().split("-"))
        own_memory = {word for word in own if _MEMORY.fullmatch(word)}
        same_card = own - own_memory <= words and words & _OTHER_CARD <= own
        if same_card and (not memory or not own_memory or own_memory == memory):
            found.append(option)
    longest = max((len(option.split("-")) for option in found), default=0)
    best = [option for option in found if len(option.split("-")) == longest]
    return best[0] if len(best) == 1 else None


def _named(name: str, group: str, kind: type[_Spec]) -> _Spec:
    """Return the option of a group whose file, or whose key `name`, is called so."""
    files: dict[str, Path] = group_files(group)
    option = next((option for option in files if _same(option, name)), None) or next(
        (option for option in files if _same(str(group_option(group, option).get("name")), name)), None
    )
    if option is None and (known := catalogue_name(group, name)):
        return _named(known, group, kind)
    if option is None:
        close = [*files, *(published_configs() if group == "model" else ())]
        raise ConfigError(f"{group}: unknown {group} '{name}'{did_you_mean(name.lower(), close)}")
    values = group_option(group, option)
    if values.get("path") or values.get("id"):
        values = resolved_model(values)
    fields = dataclasses.fields(kind)
    missing = sorted(field.name for field in fields if _needed(field) and values.get(field.name) is None)
    if missing:
        raise ConfigError(f"{group} '{name}': key '{missing[0]}' is missing")
    return kind(**{field.name: values[field.name] for field in fields if values.get(field.name) is not None})


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def _same(one: str, other: str) -> bool:
    """Return whether two names differ at most in capitals and in what stands between their words."""
    return _SEPARATORS.sub("-", one.strip().lower()) == _SEPARATORS.sub("-", other.strip().lower())
