"""Models as users have them: a folder or file with `config.json`, or a hub id whose configuration is on this machine.

Nothing is ever downloaded. A hub id is looked for among the published configurations that this package ships, in the
Hugging Face cache, and in the configurations that installed packages ship (`aiconfigurator-core`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework_serving.hardware.model_config import shape_of_config
from framework_serving.hardware.model_shape import ModelShape

_PUBLISHED = Path(__file__).with_name("published_models.yaml")


def resolved_model(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration group `model` with every key of the shape, where it names a path or a hub id.

    What the group itself states (a name, number types) goes before what the configuration says.

    Raises:
        ConfigError: nothing can be read, the architecture is unknown, a field is missing.
    """
    path, hub_id = group.get("path"), group.get("id")
    if not path and not hub_id:
        return group
    if path and hub_id:
        raise ConfigError("model.path and model.id: give one of them")
    if "layers" in group:  # described already: the path says where the weights are
        if hub_id:
            raise ConfigError(f"model.id: the model is {group.get('name')} already; leave model=… out")
        return group
    shape = shape_of_path(Path(str(path))) if path else shape_of_id(str(hub_id))
    stated = {key: value for key, value in group.items() if value not in (None, "")}
    return {**asdict(shape), **stated}


def shape_of_path(path: Path) -> ModelShape:
    """Return the shape of a model's folder or `config.json`. Raises `ConfigError` where there is none."""
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"model.path: no config.json at '{path}'")
    content = _read(file, "model.path")
    name = path.name if path.is_dir() else (path.parent.name or path.stem)
    if (
        file.resolve().parent.parent.name == "snapshots"
    ):  # a folder of the hub's cache is named after a commit
        name = file.resolve().parent.parent.parent.name.removeprefix("models--").split("--")[-1]
    return shape_of_config(
        _with_quantisation(content, file), name if name not in ("", ".") else file.resolve().parent.name
    )


def checkpoint_bytes(path: Path) -> int | None:
    """Return the bytes of the weights that lie beside a configuration; None where there are none."""
    folder = path if path.is_dir() else path.parent
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        stated = _read(index, "model.path").get("metadata")
        total = stated.get("total_size") if isinstance(stated, dict) else None
        return int(total) if isinstance(total, int) and total > 0 else None
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) or None


def shape_of_id(hub_id: str) -> ModelShape:
    """Return the shape of a model by hub id. Raises `ConfigError` where no configuration is on this machine."""
    return _shape_of_id(hub_id.strip().strip("/"))


@cache
def _shape_of_id(hub_id: str) -> ModelShape:
    return shape_of_config(config_of_id(hub_id), hub_id.split("/")[-1])


def config_of_id(hub_id: str) -> Mapping[str, Any]:
    """Return the configuration of a hub id from what is on this machine."""
    published = published_configs()
    content = published.get(_key(hub_id))
    if content is not None:
        return content
    for file in _files_of(hub_id):
        return _with_quantisation(_read(file, "model.id"), file)
    close = did_you_mean(hub_id, _published())
    raise ConfigError(
        f"model.id: no configuration of '{hub_id}' on this machine{close};"
        " give model.path=FOLDER with its config.json"
    )


@cache
def published_configs() -> Mapping[str, Mapping[str, Any]]:
    """Return the shipped configurations by hub id in small letters."""
    content = _published()
    return {
        _key(name): content[value] if isinstance(value, str) else value for name, value in content.items()
    }


@cache
def _published() -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: dict[str, Any] = yaml.load(_PUBLISHED.read_text(encoding="utf-8"), Loader=loader)
    return content


def _key(hub_id: str) -> str:
    return hub_id.strip().lower()


def _files_of(hub_id: str) -> Iterator[Path]:
    """Yield the files that may hold the configuration of a hub id."""
    for root in _hub_caches():
        yield from sorted((root / f"models--{hub_id.replace('/', '--')}" / "snapshots").glob("*/config.json"))
    shipped = find_spec("aiconfigurator_core")
    for folder in (shipped and shipped.submodule_search_locations) or ():
        file = Path(folder) / "model_configs" / f"{hub_id.replace('/', '--')}_config.json"
        if file.is_file():
            yield file


def _hub_caches() -> list[Path]:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    stated = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return [Path(stated)] if stated else [home / "hub"]


def _read(file: Path, key: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}: {file} can't be read as a configuration: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{key}: {file} is not a JSON object")
    return content


def _with_quantisation(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """Add what NVIDIA's checkpoints keep in a file of its own, `hf_quant_config.json`."""
    beside = file.with_name(file.name.replace("config.json", "hf_quant_config.json"))
    if not beside.is_file():
        return content
    section = dict(_read(beside, "model.path").get("quantization") or {})
    stated = content.get("quantization_config") or {}
    return {
        **content,
        "quantization_config": {
            "quant_method": "modelopt",
            "ignore": section.get("exclude_modules"),
            **section,
            **stated,
        },
    }
